#include "analysis.h"

G_DEFINE_QUARK (ms - analysis - error - quark, ms_analysis_error)
