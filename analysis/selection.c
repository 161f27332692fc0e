/* The selection and its text form.
 *
 * Invariant of a parsed selection: ranges are sorted, disjoint and not adjacent, texts are sorted and
 * different, so that equal selections have equal texts (which key the result cache). */
#include "analysis-private.h"

#include <string.h>

#define NO_KEY       G_MAXUINT /* the name of a label instead */
#define LABEL_PREFIX "label:"

typedef enum
{
  KEY_RANGES,
  KEY_TEXTS,
  KEY_ID,
  KEY_RUNS, /* ranges of run numbers, few in all */
} KeyType;

/* The keys in the order of the text form. */
static const struct
{
  const char *name;
  KeyType type;
  gsize offset;
  const char *help;
} keys[] = {
  { "run", KEY_ID, G_STRUCT_OFFSET (MsSelection, run),
    "The run, by its number; without, the newest." },
  { "base", KEY_ID, G_STRUCT_OFFSET (MsSelection, base), "The run it is compared with." },
  { "with", KEY_RUNS, G_STRUCT_OFFSET (MsSelection, with),
    "Further runs shown beside it in the same tables and figures, 7 in all at most." },
  { "layer", KEY_RANGES, G_STRUCT_OFFSET (MsSelection, layers), "Layers, by their numbers." },
  { "expert", KEY_RANGES, G_STRUCT_OFFSET (MsSelection, experts),
    "Keeps the rows of these experts; numbers stay measured among all." },
  { "lang", KEY_TEXTS, G_STRUCT_OFFSET (MsSelection, languages), "Documents in these languages." },
  { "domain", KEY_TEXTS, G_STRUCT_OFFSET (MsSelection, domains), "Documents of these domains." },
  { "phase", KEY_TEXTS, G_STRUCT_OFFSET (MsSelection, phases),
    "Documents of this phase, prefill or decode." },
  { "name", KEY_TEXTS, G_STRUCT_OFFSET (MsSelection, names), "Documents with these names." },
  { "doc", KEY_RANGES, G_STRUCT_OFFSET (MsSelection, documents),
    "Documents by their number, from 0." },
  { "token", KEY_RANGES, G_STRUCT_OFFSET (MsSelection, tokens),
    "Tokens by their position in the corpus, from 0." },
};

/* Words that people also use. */
static const char *const aliases[][2] = {
  { "language", "lang" },  { "document", "doc" }, { "layers", "layer" },
  { "experts", "expert" }, { "tokens", "token" }, { "baseline", "base" },
};

static gboolean
has_ranges (guint key)
{
  return keys[key].type == KEY_RANGES || keys[key].type == KEY_RUNS;
}

static gpointer
field (const MsSelection *selection, guint key)
{
  return G_STRUCT_MEMBER_P (selection, keys[key].offset);
}

const char *
ms_selection_key (guint key, const char **help)
{
  if (key >= G_N_ELEMENTS (keys))
    return NULL;
  *help = keys[key].help;
  return keys[key].name;
}

MsSelection *
ms_selection_new (void)
{
  return g_new0 (MsSelection, 1);
}

void
ms_selection_free (MsSelection *selection)
{
  if (selection == NULL)
    return;
  g_clear_pointer (&selection->labels, g_ptr_array_unref);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (has_ranges (i))
      g_clear_pointer ((GArray **) field (selection, i), g_array_unref);
    else if (keys[i].type == KEY_TEXTS)
      g_clear_pointer ((GPtrArray **) field (selection, i), g_ptr_array_unref);
  g_free (selection);
}

gboolean
ms_ranges_include (const GArray *ranges, gint64 value)
{
  if (ranges == NULL)
    return TRUE;
  for (guint i = 0; i < ranges->len; i++)
    {
      const MsRange *range = &g_array_index (ranges, MsRange, i);

      if (value >= range->first && value <= range->last)
        return TRUE;
    }
  return FALSE;
}

static int
compare_ranges (gconstpointer a, gconstpointer b)
{
  const MsRange *left = a, *right = b;

  return (left->first > right->first) - (left->first < right->first);
}

static void
merge_ranges (GArray *ranges)
{
  guint n = 0;

  g_array_sort (ranges, compare_ranges);
  for (guint i = 0; i < ranges->len; i++)
    {
      MsRange range = g_array_index (ranges, MsRange, i);
      MsRange *last = n > 0 ? &g_array_index (ranges, MsRange, n - 1) : NULL;

      if (last != NULL && (last->last == G_MAXINT64 || range.first <= last->last + 1))
        last->last = MAX (last->last, range.last);
      else
        g_array_index (ranges, MsRange, n++) = range;
    }
  g_array_set_size (ranges, n);
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
add_text (GPtrArray *texts, const char *text)
{
  if (!g_ptr_array_find_with_equal_func (texts, text, g_str_equal, NULL))
    g_ptr_array_add (texts, g_strdup (text));
}

static void
choice_free (gpointer data)
{
  MsLabelChoice *choice = data;

  g_free (choice->name);
  g_ptr_array_unref (choice->values);
  g_free (choice);
}

/* The values chosen of the label `name`, made when there are none yet; kept sorted by name. */
static GPtrArray *
values_of (MsSelection *selection, const char *name)
{
  MsLabelChoice *choice;
  guint at = 0;

  if (selection->labels == NULL)
    selection->labels = g_ptr_array_new_with_free_func (choice_free);
  for (; at < selection->labels->len; at++)
    {
      choice = selection->labels->pdata[at];
      if (strcmp (choice->name, name) == 0)
        return choice->values;
      if (strcmp (choice->name, name) > 0)
        break;
    }
  choice = g_new0 (MsLabelChoice, 1);
  choice->name = g_strdup (name);
  choice->values = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_insert (selection->labels, (int) at, choice);
  return choice->values;
}

void
ms_selection_set_label (MsSelection *selection, const char *name, const char *value)
{
  GPtrArray **known = strcmp (name, "language") == 0 ? &selection->languages
                      : strcmp (name, "domain") == 0 ? &selection->domains
                      : strcmp (name, "phase") == 0  ? &selection->phases
                                                     : NULL;
  GPtrArray *values;

  if (known != NULL && *known == NULL)
    *known = g_ptr_array_new_with_free_func (g_free);
  values = known != NULL ? *known : values_of (selection, name);
  g_ptr_array_set_size (values, 0);
  g_ptr_array_add (values, g_strdup (value));
}

static gboolean
parse_number (const char *text, gsize length, gint64 *value)
{
  g_autofree char *word = g_strndup (text, length);

  return g_ascii_string_to_signed (word, 10, 0, G_MAXINT64, value, NULL);
}

static gboolean
parse_range (const char *text, MsRange *range)
{
  const char *dots = strstr (text, "..");

  if (dots == NULL)
    {
      if (!parse_number (text, strlen (text), &range->first))
        return FALSE;
      range->last = range->first;
      return TRUE;
    }
  return parse_number (text, (gsize) (dots - text), &range->first)
         && parse_number (dots + 2, strlen (dots + 2), &range->last) && range->first <= range->last;
}

static gboolean fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
fail (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, MS_ANALYSIS_ERROR, MS_ANALYSIS_ERROR_SELECTION, "the selection: %s", message);
  return FALSE;
}

static gboolean
add_value (MsSelection *selection, guint key, const char *value, GError **error)
{
  switch (keys[key].type)
    {
    case KEY_ID:
      {
        gint64 *id = field (selection, key);

        if (!g_ascii_string_to_signed (value, 10, 1, G_MAXINT64, id, NULL))
          return fail (error, "%s=%s is no run number", keys[key].name, value);
        return TRUE;
      }
    case KEY_RANGES:
    case KEY_RUNS:
      {
        GArray **ranges = field (selection, key);
        MsRange range;

        if (!parse_range (value, &range))
          return fail (error, "%s=%s: a number or a range such as 4..8 is needed", keys[key].name,
                       value);
        /* The largest number, too, is none: counting up to it would not end. */
        if (keys[key].type == KEY_RUNS && (range.first < 1 || range.last == G_MAXINT64))
          return fail (error, "%s=%s is no run number", keys[key].name, value);
        if (*ranges == NULL)
          *ranges = g_array_new (FALSE, FALSE, sizeof (MsRange));
        g_array_append_val (*ranges, range);
        return TRUE;
      }
    case KEY_TEXTS:
    default:
      {
        GPtrArray **texts = field (selection, key);

        if (*texts == NULL)
          *texts = g_ptr_array_new_with_free_func (g_free);
        add_text (*texts, value);
        return TRUE;
      }
    }
}

static gboolean
too_many_runs (GError **error)
{
  return fail (error,
               "at most %d runs can be shown together: leave some out of with=", MS_RUNS_MOST);
}

static gint64
count_runs (const GArray *ranges)
{
  gint64 n = 0;

  for (guint i = 0; ranges != NULL && i < ranges->len && n <= MS_RUNS_MOST; i++)
    {
      const MsRange *range = &g_array_index (ranges, MsRange, i);

      n += MIN (range->last - range->first, MS_RUNS_MOST) + 1;
    }
  return n;
}

void
ms_selection_show_run (MsSelection *selection, gint64 run, gboolean shown)
{
  GArray *runs = g_array_new (FALSE, FALSE, sizeof (MsRange));

  for (guint i = 0; selection->with != NULL && i < selection->with->len; i++)
    {
      MsRange range = g_array_index (selection->with, MsRange, i);

      if (range.first < run)
        g_array_append_val (runs, ((MsRange){ range.first, MIN (range.last, run - 1) }));
      if (range.last > run)
        g_array_append_val (runs, ((MsRange){ MAX (range.first, run + 1), range.last }));
    }
  if (shown)
    g_array_append_val (runs, ((MsRange){ run, run }));
  merge_ranges (runs);
  g_clear_pointer (&selection->with, g_array_unref);
  if (runs->len > 0)
    selection->with = g_steal_pointer (&runs);
  else
    g_array_unref (runs);
}

gboolean
ms_selection_list_with (const MsSelection *selection, gint64 main, gint64 **runs, guint *n,
                        GError **error)
{
  const GArray *with = selection != NULL ? selection->with : NULL;

  *runs = NULL;
  *n = 0;
  if (count_runs (with) > MS_RUNS_MOST)
    return too_many_runs (error);
  for (guint i = 0; with != NULL && i < with->len; i++)
    for (gint64 run = g_array_index (with, MsRange, i).first;
         run <= g_array_index (with, MsRange, i).last; run++)
      if (run != main)
        {
          *runs = g_renew (gint64, *runs, *n + 1);
          (*runs)[(*n)++] = run;
        }
  if (*n < MS_RUNS_MOST)
    return TRUE;
  g_clear_pointer (runs, g_free);
  *n = 0;
  return too_many_runs (error);
}

/* A key of our own; another word is the name of a label, *key = NO_KEY, unless it looks like a slip of one
 * of ours.  "label:lane" is never taken for "lang". */
static gboolean
find_key (const char *word, guint *key, const char **label, GError **error)
{
  const char *names[G_N_ELEMENTS (keys) + 1] = { NULL };
  const char *nearest;

  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (strcmp (word, aliases[i][0]) == 0)
      word = aliases[i][1];
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      names[i] = keys[i].name;
      if (strcmp (word, keys[i].name) == 0)
        {
          *key = i;
          return TRUE;
        }
    }
  *key = NO_KEY;
  *label = word;
  if (g_str_has_prefix (word, LABEL_PREFIX) && word[strlen (LABEL_PREFIX)] != '\0')
    {
      *label = word + strlen (LABEL_PREFIX);
      return TRUE;
    }
  nearest = ms_text_nearest (word, names);
  if (nearest == NULL && *word != '\0')
    return TRUE;
  return fail (error, "there is no key '%s'%s%s%s", word, nearest ? "; did you mean " : "",
               nearest ? nearest : "", nearest ? "?" : "");
}

/* Reads one value up to a comma, blank or the end; a quoted part may hold anything. */
static char *
read_value (const char **at, GError **error)
{
  GString *value = g_string_new (NULL);
  gboolean quoted = FALSE;

  for (; **at != '\0'; (*at)++)
    {
      char c = **at;

      if (c == '"')
        quoted = !quoted;
      else if (quoted && c == '\\' && (*at)[1] != '\0')
        g_string_append_c (value, *++*at);
      else if (!quoted && (c == ',' || g_ascii_isspace (c)))
        break;
      else
        g_string_append_c (value, c);
    }
  if (quoted)
    {
      fail (error, "a closing quote is missing after \"%s", value->str);
      g_string_free (value, TRUE);
      return NULL;
    }
  return g_string_free (value, FALSE);
}

MsSelection *
ms_selection_parse (const char *text, GError **error)
{
  g_autoptr (MsSelection) selection = ms_selection_new ();
  const char *at = text;

  if (!g_utf8_validate (text, -1, NULL))
    {
      fail (error, "the text is not UTF-8");
      return NULL;
    }
  for (;;)
    {
      g_autofree char *word = NULL;
      const char *label = NULL;
      gsize length;
      guint key = 0;

      while (g_ascii_isspace (*at))
        at++;
      if (*at == '\0')
        break;
      length = strcspn (at, "= \t\n");
      word = g_strndup (at, length);
      if (at[length] != '=')
        {
          fail (error, "'%s' is not KEY=VALUE", word);
          return NULL;
        }
      if (!find_key (word, &key, &label, error))
        return NULL;
      at += length;
      do
        {
          g_autofree char *value = NULL;

          at++; /* the '=' or the comma */
          value = read_value (&at, error);
          if (value == NULL || (key != NO_KEY && !add_value (selection, key, value, error)))
            return NULL;
          if (key == NO_KEY)
            add_text (values_of (selection, label), value);
        }
      while (*at == ',');
    }
  for (guint i = 0; selection->labels != NULL && i < selection->labels->len; i++)
    g_ptr_array_sort (((MsLabelChoice *) selection->labels->pdata[i])->values, compare_texts);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      gpointer *member = field (selection, i);

      if (has_ranges (i) && *member != NULL)
        merge_ranges (*member);
      else if (keys[i].type == KEY_TEXTS && *member != NULL)
        g_ptr_array_sort (*member, compare_texts);
    }
  if (selection->run != 0)
    ms_selection_show_run (selection, selection->run, FALSE);
  if (count_runs (selection->with) + (selection->run != 0) > MS_RUNS_MOST)
    {
      too_many_runs (error);
      return NULL;
    }
  return g_steal_pointer (&selection);
}

static void
append_text (GString *out, const char *text)
{
  gboolean plain = *text != '\0' && strpbrk (text, " \t\r\n\v\f,\"\\") == NULL;

  if (plain)
    {
      g_string_append (out, text);
      return;
    }
  g_string_append_c (out, '"');
  for (; *text != '\0'; text++)
    {
      if (*text == '"' || *text == '\\')
        g_string_append_c (out, '\\');
      g_string_append_c (out, *text);
    }
  g_string_append_c (out, '"');
}

static void
append_texts (GString *out, const char *prefix, const char *name, const GPtrArray *texts)
{
  for (guint i = 0; texts != NULL && i < texts->len; i++)
    {
      if (i == 0)
        g_string_append_printf (out, "%s%s%s=", out->len > 0 ? " " : "", prefix, name);
      else
        g_string_append_c (out, ',');
      append_text (out, g_ptr_array_index (texts, i));
    }
}

char *
ms_selection_format (const MsSelection *selection)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; selection != NULL && i < G_N_ELEMENTS (keys); i++)
    {
      const char *blank = out->len > 0 ? " " : "";

      if (keys[i].type == KEY_ID)
        {
          gint64 id = *(gint64 *) field (selection, i);

          if (id != 0)
            g_string_append_printf (out, "%s%s=%" G_GINT64_FORMAT, blank, keys[i].name, id);
        }
      else if (has_ranges (i))
        {
          const GArray *ranges = *(GArray **) field (selection, i);

          for (guint j = 0; ranges != NULL && j < ranges->len; j++)
            {
              const MsRange *range = &g_array_index (ranges, MsRange, j);

              if (j == 0)
                g_string_append_printf (out, "%s%s=", blank, keys[i].name);
              g_string_append_printf (out, "%s%" G_GINT64_FORMAT, j > 0 ? "," : "", range->first);
              if (range->last > range->first)
                g_string_append_printf (out, "..%" G_GINT64_FORMAT, range->last);
            }
        }
      else
        {
          append_texts (out, "", keys[i].name, *(GPtrArray **) field (selection, i));
        }
    }
  for (guint i = 0; selection != NULL && selection->labels != NULL && i < selection->labels->len;
       i++)
    {
      const MsLabelChoice *choice = selection->labels->pdata[i];
      const char *label;
      guint key;
      gboolean plain = find_key (choice->name, &key, &label, NULL) && key == NO_KEY
                       && strcmp (label, choice->name) == 0;

      append_texts (out, plain ? "" : LABEL_PREFIX, choice->name, choice->values);
    }
  return g_string_free (out, FALSE);
}

char *
ms_selection_without_runs (const char *text)
{
  g_autoptr (MsSelection) selection = text != NULL ? ms_selection_parse (text, NULL) : NULL;

  if (selection == NULL || selection->with == NULL)
    return g_strdup (text);
  g_clear_pointer (&selection->with, g_array_unref);
  return ms_selection_format (selection);
}

MsSelection *
ms_selection_copy (const MsSelection *selection)
{
  MsSelection *copy = ms_selection_new ();

  if (selection == NULL)
    return copy;
  *copy = *selection;
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      gpointer *member = field (copy, i);

      if (has_ranges (i) && *member != NULL)
        *member = g_array_copy (*member);
      else if (keys[i].type == KEY_TEXTS && *member != NULL)
        {
          GPtrArray *texts = *member;

          *member = g_ptr_array_new_with_free_func (g_free);
          for (guint j = 0; j < texts->len; j++)
            g_ptr_array_add (*member, g_strdup (g_ptr_array_index (texts, j)));
        }
    }
  copy->labels = NULL;
  for (guint i = 0; selection->labels != NULL && i < selection->labels->len; i++)
    {
      const MsLabelChoice *choice = selection->labels->pdata[i];

      for (guint j = 0; j < choice->values->len; j++)
        add_text (values_of (copy, choice->name), choice->values->pdata[j]);
    }
  return copy;
}
