/* The list of analyses.  Explicit, because linkers drop unreferenced objects of static libraries and
 * the order of the menu is our choice. */
#include "analysis-private.h"

#include <string.h>

/* One line for each analysis: X (name) is ms_analysis_name. */
#define MS_ANALYSES(X)                                                                             \
  X (load)                                                                                         \
  X (experts)                                                                                      \
  X (readers)                                                                                      \
  X (text)                                                                                         \
  X (load_windows)                                                                                 \
  X (coverage)                                                                                     \
  X (calibration)                                                                                  \
  X (losses)                                                                                       \
  X (gate_telemetry)                                                                               \
  X (srp)                                                                                          \
  X (hit_rate)                                                                                     \
  X (cache)                                                                                        \
  X (domains)                                                                                      \
  X (specialists)                                                                                  \
  X (coactivation)                                                                                 \
  X (languages)                                                                                    \
  X (language_map)                                                                                 \
  X (vocabulary)                                                                                   \
  X (position)                                                                                     \
  X (norms)                                                                                        \
  X (committee)                                                                                    \
  X (difference)                                                                                   \
  X (repetition)                                                                                   \
  X (transitions)                                                                                  \
  X (compare)                                                                                      \
  X (saturation)                                                                                   \
  X (uncertainty)                                                                                  \
  X (importance)                                                                                   \
  X (merge)                                                                                        \
  X (capacity)                                                                                     \
  X (what_if)                                                                                      \
  X (placement)

#define DECLARE(name) extern const MsAnalysis ms_analysis_##name;
#define LIST(name)    &ms_analysis_##name,

MS_ANALYSES (DECLARE)

const MsAnalysis *const *
ms_analyses (void)
{
  static const MsAnalysis *const all[] = { MS_ANALYSES (LIST) NULL };

  return all;
}

const MsAnalysis *
ms_analysis_find (const char *name)
{
  const MsAnalysis *const *all = ms_analyses ();

  for (guint i = 0; all[i] != NULL; i++)
    if (strcmp (all[i]->name, name) == 0)
      return all[i];
  return NULL;
}
