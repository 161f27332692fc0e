/* Parameter values of one analysis: parsed and checked when set, so that compute never has to. */
#include "analysis-private.h"

#include <errno.h>
#include <math.h>
#include <string.h>

GQuark
ms_analysis_error_quark (void)
{
  return g_quark_from_static_string ("ms-analysis-error-quark");
}

struct MsValues
{
  const MsAnalysis *analysis;
  guint n;
  double *numbers; /* (n) */
  char **texts;    /* (n) of TEXT and FILE */
};

static const MsParam *
param_at (const MsValues *values, guint i)
{
  return &values->analysis->params[i];
}

MsValues *
ms_values_new (const MsAnalysis *analysis)
{
  MsValues *values = g_new0 (MsValues, 1);

  values->analysis = analysis;
  while (analysis->params != NULL && analysis->params[values->n].name != NULL)
    values->n++;
  values->numbers = g_new0 (double, values->n);
  values->texts = g_new0 (char *, values->n);
  for (guint i = 0; i < values->n; i++)
    {
      const char *text = param_at (values, i)->usual_text;

      values->numbers[i] = param_at (values, i)->usual;
      values->texts[i] = g_strdup (text != NULL ? text : "");
    }
  return values;
}

MsValues *
ms_values_copy (const MsValues *values)
{
  MsValues *copy = ms_values_new (values->analysis);

  for (guint i = 0; i < values->n; i++)
    {
      copy->numbers[i] = values->numbers[i];
      g_free (copy->texts[i]);
      copy->texts[i] = g_strdup (values->texts[i]);
    }
  return copy;
}

void
ms_values_free (MsValues *values)
{
  if (values == NULL)
    return;
  for (guint i = 0; i < values->n; i++)
    g_free (values->texts[i]);
  g_free (values->texts);
  g_free (values->numbers);
  g_free (values);
}

static gboolean
fail_unknown (const MsValues *values, const char *name, GError **error)
{
  g_autofree const char **names = g_new0 (const char *, values->n + 1);
  const char *nearest;

  for (guint i = 0; i < values->n; i++)
    names[i] = param_at (values, i)->name;
  nearest = ms_text_nearest (name, names);
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
               "the analysis %s has no parameter --%s%s%s%s", values->analysis->name, name,
               nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "");
  return FALSE;
}

static gboolean
fail_range (const MsParam *param, const char *text, const char *what, GError **error)
{
  char least[MS_NUMBER_SIZE], most[MS_NUMBER_SIZE];

  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM,
               "--%s %s: %s between %s and %s is needed", param->name, text, what,
               ms_number_short (least, param->least), ms_number_short (most, param->most));
  return FALSE;
}

static gboolean
parse_choice (const MsParam *param, const char *text, double *value, GError **error)
{
  g_autofree char *all = NULL;

  for (guint i = 0; param->choices[i] != NULL; i++)
    if (strcmp (param->choices[i], text) == 0)
      {
        *value = i;
        return TRUE;
      }
  all = g_strjoinv (", ", (char **) param->choices);
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM, "--%s %s: choose one of %s",
               param->name, text, all);
  return FALSE;
}

static gboolean
parse_bool (const MsParam *param, const char *text, double *value, GError **error)
{
  static const char *const words[] = { "no", "yes", "false", "true", "0", "1", "off", "on" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_ascii_strcasecmp (words[i], text) == 0)
      {
        *value = i % 2;
        return TRUE;
      }
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_PARAM, "--%s %s: say yes or no",
               param->name, text);
  return FALSE;
}

gboolean
ms_values_set (MsValues *values, const char *name, const char *text, GError **error)
{
  const MsParam *param;
  double value = 0;
  gint64 whole;
  char *end;
  guint i = 0;

  while (i < values->n && strcmp (param_at (values, i)->name, name) != 0)
    i++;
  if (i == values->n)
    return fail_unknown (values, name, error);
  param = param_at (values, i);
  switch (param->type)
    {
    case MS_PARAM_INT:
      if (!g_ascii_string_to_signed (text, 10, (gint64) param->least, (gint64) param->most, &whole,
                                     NULL))
        return fail_range (param, text, "a whole number", error);
      value = (double) whole;
      break;
    case MS_PARAM_REAL:
      value = g_ascii_strtod (text, &end);
      if (end == text || *end != '\0' || !(value >= param->least && value <= param->most))
        return fail_range (param, text, "a number", error);
      break;
    case MS_PARAM_BOOL:
      if (!parse_bool (param, text, &value, error))
        return FALSE;
      break;
    case MS_PARAM_CHOICE:
      if (!parse_choice (param, text, &value, error))
        return FALSE;
      break;
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
      g_free (values->texts[i]);
      values->texts[i] = g_strdup (text);
      break;
    }
  values->numbers[i] = value;
  return TRUE;
}

char *
ms_values_text_of (const MsValues *values, guint i)
{
  const MsParam *param = param_at (values, i);
  char number[MS_NUMBER_SIZE];

  switch (param->type)
    {
    case MS_PARAM_INT:
    case MS_PARAM_REAL:
      return g_strdup (ms_number_exact (number, values->numbers[i]));
    case MS_PARAM_BOOL:
      return g_strdup (values->numbers[i] != 0 ? "yes" : "no");
    case MS_PARAM_CHOICE:
      return g_strdup (param->choices[(guint) values->numbers[i]]);
    case MS_PARAM_TEXT:
    case MS_PARAM_FILE:
    default:
      return g_strdup (values->texts[i]);
    }
}

/* Whether a value is that of `usual`, NULL = the default. */
static gboolean
is_usual (const MsValues *values, const MsValues *usual, guint i)
{
  const MsParam *param = param_at (values, i);
  const char *text = param->usual_text != NULL ? param->usual_text : "";

  if (param->type == MS_PARAM_TEXT || param->type == MS_PARAM_FILE)
    return strcmp (values->texts[i], usual != NULL ? usual->texts[i] : text) == 0;
  return values->numbers[i] == (usual != NULL ? usual->numbers[i] : param->usual);
}

char *
ms_values_format (const MsValues *values)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < values->n; i++)
    {
      const MsParam *param = param_at (values, i);
      g_autofree char *text = NULL;

      if (is_usual (values, NULL, i))
        continue;
      text = ms_values_text_of (values, i);
      if (param->type == MS_PARAM_TEXT || param->type == MS_PARAM_FILE)
        {
          g_autofree char *plain = g_steal_pointer (&text);
          text = ms_word_quote (plain);
        }
      g_string_append_printf (out, "%s--%s %s", out->len > 0 ? " " : "", param->name, text);
    }
  return g_string_free (out, FALSE);
}

char *
ms_values_describe (const MsValues *values, const MsValues *usual)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < values->n; i++)
    if (!is_usual (values, usual, i))
      {
        g_autofree char *text = ms_values_text_of (values, i);

        g_string_append_printf (out, "%s%s %s", out->len > 0 ? ", " : "",
                                param_at (values, i)->name, text);
      }
  return g_string_free (out, FALSE);
}

static guint
find (const MsValues *values, const char *name)
{
  for (guint i = 0; i < values->n; i++)
    if (strcmp (param_at (values, i)->name, name) == 0)
      return i;
  g_error ("%s has no parameter %s", values->analysis->name, name);
}

gint64
ms_values_int (const MsValues *values, const char *name)
{
  return (gint64) values->numbers[find (values, name)];
}

double
ms_values_real (const MsValues *values, const char *name)
{
  return values->numbers[find (values, name)];
}

gboolean
ms_values_bool (const MsValues *values, const char *name)
{
  return values->numbers[find (values, name)] != 0;
}

guint
ms_values_choice (const MsValues *values, const char *name)
{
  return (guint) values->numbers[find (values, name)];
}

const char *
ms_values_text (const MsValues *values, const char *name)
{
  return values->texts[find (values, name)];
}
