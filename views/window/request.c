/* MsRequest is what a screen asks for.  It holds the selection itself: texts are made from it, for the
 * command line that people copy and as the key under which results are kept. */
#include "request-private.h"

#include <string.h>

const MsAnalysis *
ms_known_analysis (const char *name)
{
  const MsAnalysis *analysis = ms_analysis_find (name);

  if (analysis == NULL)
    g_error ("no analysis is registered as “%s”", name);
  return analysis;
}

MsRequest *
ms_request_new (const MsAnalysis *analysis)
{
  MsRequest *request = g_new0 (MsRequest, 1);

  request->analysis = analysis;
  request->sampling = MS_SAMPLING_USUAL;
  request->sampling.resamples = 0;
  return request;
}

void
ms_request_free (MsRequest *request)
{
  if (request == NULL)
    return;
  g_clear_pointer (&request->values, ms_values_free);
  ms_selection_free (request->selection);
  g_free (request->by);
  g_free (request);
}

MsRequest *
ms_request_copy (const MsRequest *request)
{
  MsRequest *copy = g_memdup2 (request, sizeof *request);

  copy->values = request->values ? ms_values_copy (request->values) : NULL;
  copy->selection = request->selection ? ms_selection_copy (request->selection) : NULL;
  copy->by = g_strdup (request->by);
  return copy;
}

void
ms_request_set (MsRequest *request, const char *name, const char *value)
{
  const MsParam *param = request->analysis->params;

  while (param != NULL && param->name != NULL && strcmp (param->name, name) != 0)
    param++;
  if (param == NULL || param->name == NULL)
    g_error ("%s has no parameter “%s”", request->analysis->name, name);
  if (request->values == NULL)
    request->values = ms_values_new (request->analysis);
  ms_values_set (request->values, name, value, NULL);
}

gboolean
ms_request_has_runs (const MsRequest *request)
{
  return request->selection != NULL && request->selection->with != NULL;
}

MsRequest *
ms_request_alone (const MsRequest *request)
{
  MsRequest *alone = ms_request_copy (request);

  if (ms_request_has_runs (alone))
    g_clear_pointer (&alone->selection->with, g_array_unref);
  return alone;
}

static const MsParam *
find_null (const MsAnalysis *analysis)
{
  for (const MsParam *param = analysis->params; param != NULL && param->name != NULL; param++)
    if (strcmp (param->name, "null") == 0 && param->type == MS_PARAM_BOOL)
      return param;
  return NULL;
}

gboolean
ms_request_is_full (const MsRequest *request)
{
  const MsParam *null = find_null (request->analysis);

  return request->sampling.resamples >= MS_SAMPLING_USUAL.resamples
         && (null == NULL || request->values == NULL
             || ms_values_bool (request->values, null->name) == (null->usual != 0));
}

MsRequest *
ms_request_in_full (const MsRequest *request)
{
  MsRequest *full = ms_request_copy (request);
  const MsParam *null = find_null (request->analysis);

  full->sampling.resamples = MAX (full->sampling.resamples, MS_SAMPLING_USUAL.resamples);
  if (null != NULL && full->values != NULL)
    ms_request_set (full, null->name, null->usual != 0 ? "yes" : "no");
  return full;
}

char *
ms_request_format (const MsRequest *request, const char *plot)
{
  g_autoptr (GString) text = g_string_new (request->analysis->name);
  g_autofree char *values = request->values ? ms_values_format (request->values) : NULL;
  g_autofree char *select = request->selection ? ms_selection_format (request->selection) : NULL;

  if (values != NULL && *values != '\0')
    g_string_append_printf (text, " %s", values);
  if (request->run > 0)
    g_string_append_printf (text, " --run %" G_GINT64_FORMAT, request->run);
  if (request->other > 0)
    g_string_append_printf (text, " --other '#%" G_GINT64_FORMAT "'", request->other);
  if (select != NULL && *select != '\0')
    {
      g_autofree char *quoted = ms_word_quote (select);

      g_string_append_printf (text, " --select %s", quoted);
    }
  if (request->by != NULL)
    g_string_append_printf (text, " --by %s", request->by);
  if (request->sampling.resamples != MS_SAMPLING_USUAL.resamples)
    g_string_append_printf (text, " --bootstrap %u", request->sampling.resamples);
  if (plot != NULL && *plot != '\0')
    g_string_append_printf (text, " --plot %s", plot);
  return g_string_free (g_steal_pointer (&text), FALSE);
}
