#include "db.h"

G_DEFINE_QUARK (ms - db - error - quark, ms_db_error)
