/* Running an analysis in a test and looking cells of its tables up. */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/* Runs the analysis with parameters "NAME=VALUE" (NULL-terminated), `bootstrap` resamples and seed 1;
 * aborts the test on failure. */
MsResult *ms_test_run (MsTrace *trace, const char *analysis, guint bootstrap,
                       const char *const *params);
/* The same against other runs (n_others): the second run, or a series in order. */
MsResult *ms_test_run_against (MsTrace *trace, MsTrace **others, guint n_others,
                               const char *analysis, guint bootstrap, const char *const *params);
/* The row of a table where columns have values, "layer=3 name=code" made with printf; aborts the test when
 * there is none. */
guint ms_test_row (const MsTable *table, const char *format, ...) G_GNUC_PRINTF (2, 3);
double ms_test_real (const MsTable *table, guint row, const char *column);
const char *ms_test_text (const MsTable *table, guint row, const char *column);

/* Equal within 1e-9 of the larger of 1 and the expected, or both NaN. */
#define ms_test_near(value, expected)                                                              \
  G_STMT_START                                                                                     \
  {                                                                                                \
    double value_ = (value), expected_ = (expected);                                               \
    double bound_ = 1e-9 * MAX (ABS (expected_), 1);                                               \
    if (!(value_ == expected_ || (value_ != value_ && expected_ != expected_)                      \
          || (value_ - expected_ <= bound_ && expected_ - value_ <= bound_)))                      \
      g_error ("%s:%d: %s is %.15g, expected %.15g", __FILE__, __LINE__, #value, value_,           \
               expected_);                                                                         \
  }                                                                                                \
  G_STMT_END

G_END_DECLS
