#include "figure.h"

G_DEFINE_QUARK (ms - figure - error - quark, ms_figure_error)
