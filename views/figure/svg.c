/* What cairo writes as SVG, made small and repeatable.
 *
 * Ids are numbered from the drawing alone.  Coordinates are rounded to a hundredth of a unit and written
 * relative to each other (rounded positions are subtracted, so nothing drifts), colours as #rrggbb, what
 * is the default is left out, and neighbouring paths of one opaque colour become one.  Only the form of
 * cairo's own output is understood; anything else passes unchanged. */
#include "figure-private.h"

#include <math.h>
#include <string.h>

#define UNITS 100 /* in one unit of length */

/* --- Paths ------------------------------------------------------------------------------------- */

typedef struct
{
  GString *out;
  char command;             /* the last one written */
  gint64 x, y, left, start; /* where the pen is, and where the subpath began (left, start) */
} Path;

/* Separated only where it would read as one number with what stands before. */
static void
append_number (GString *out, gint64 value)
{
  gint64 size = ABS (value), rest = size % UNITS;
  char last = out->len > 0 ? out->str[out->len - 1] : '\0';

  if (value < 0)
    g_string_append_c (out, '-');
  else if (g_ascii_isdigit (last) || last == '.')
    g_string_append_c (out, ' ');
  if (size >= UNITS || rest == 0)
    g_string_append_printf (out, "%" G_GINT64_FORMAT, size / UNITS);
  if (rest == 0)
    return;
  g_string_append_printf (out, rest % 10 == 0 ? ".%" G_GINT64_FORMAT : ".%02" G_GINT64_FORMAT,
                          rest % 10 == 0 ? rest / 10 : rest);
}

static void
begin (Path *path, char command)
{
  if (path->command != command)
    g_string_append_c (path->out, command);
  path->command = command;
}

static void
append_segment (Path *path, char command, const gint64 *at)
{
  guint last = command == 'C' ? 4 : 0;
  gint64 dx = at[last] - path->x, dy = at[last + 1] - path->y;

  if (command == 'M')
    {
      path->command = '\0';
      begin (path, 'M');
      append_number (path->out, at[0]);
      append_number (path->out, at[1]);
      path->left = at[0];
      path->start = at[1];
    }
  else if (command == 'C')
    {
      begin (path, 'c');
      for (guint i = 0; i < 6; i++)
        append_number (path->out, at[i] - (i % 2 == 0 ? path->x : path->y));
    }
  else if (dy == 0)
    {
      begin (path, 'h');
      append_number (path->out, dx);
    }
  else if (dx == 0)
    {
      begin (path, 'v');
      append_number (path->out, dy);
    }
  else
    {
      begin (path, 'l');
      append_number (path->out, dx);
      append_number (path->out, dy);
    }
  path->x = at[last];
  path->y = at[last + 1];
}

/* Appends the commands of `d` up to `end`; FALSE when they are not understood. */
static gboolean
append_path (GString *out, const char *d, const char *end)
{
  Path path = { .out = out };

  while (d < end)
    {
      char command = *d++;
      guint n = command == 'M' || command == 'L' ? 2 : command == 'C' ? 6 : 0;
      gint64 at[6];

      if (command == ' ')
        continue;
      if (command == 'Z')
        {
          g_string_append_c (out, 'z');
          path.command = 'z';
          path.x = path.left;
          path.y = path.start;
          continue;
        }
      if (n == 0)
        return FALSE;
      for (guint i = 0; i < n; i++)
        {
          char *after;
          double value = g_ascii_strtod (d, &after);

          if (after == d || after > end || !(fabs (value) < 1e12))
            return FALSE;
          at[i] = llround (value * UNITS);
          d = after;
        }
      /* cairo repeats the start of a closed path: without a line it draws nothing. */
      if (command == 'M' && path.command == 'z' && strspn (d, " ") == (gsize) (end - d))
        break;
      append_segment (&path, command, at);
    }
  return TRUE;
}

/* --- Styles ------------------------------------------------------------------------------------ */

/* The style with colours as #rrggbb and without what is so anyway. */
static char *
tidy_style (const char *style, gsize length)
{
  static const char *const defaults[] = { "stroke:none;",
                                          "fill-rule:nonzero;",
                                          "fill-opacity:1;",
                                          "stroke-linecap:butt;",
                                          "stroke-opacity:1;",
                                          "stroke-miterlimit:10;",
                                          " " };
  g_autofree char *text = g_strndup (style, length);
  GString *out = g_string_new (NULL);

  for (const char *c = text; *c != '\0';)
    {
      char *after = NULL;
      guint rgb[3];
      gboolean colour = g_str_has_prefix (c, "rgb(");

      for (guint i = 0; i < 3 && colour; i++)
        {
          double share = g_ascii_strtod (i == 0 ? c + 4 : after + 2, &after);

          rgb[i] = (guint) lround (CLAMP (share, 0, 100) * 2.55);
          colour = g_str_has_prefix (after, i < 2 ? "%," : "%)");
        }
      if (colour)
        {
          g_string_append_printf (out, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
          c = after + 2;
        }
      else
        g_string_append_c (out, *c++);
    }
  for (guint i = 0; i < G_N_ELEMENTS (defaults); i++)
    g_string_replace (out, defaults[i], "", 0);
  return g_string_free (out, FALSE);
}

/* Whether two paths of that style look the same as one: either filled or stroked, and opaque. */
static gboolean
may_join (const char *style)
{
  gboolean filled = strstr (style, "fill:none") == NULL,
           stroked = strstr (style, "stroke:") != NULL;

  return filled != stroked && strstr (style, "opacity") == NULL && strstr (style, "url(") == NULL
         && strstr (style, "dash") == NULL;
}

static void
tidy_paths (GString *out, const char *svg)
{
  static const char head[] = "<path style=\"", middle[] = "\" d=\"", tail[] = "\"/>\n";
  g_autofree char *before
      = NULL; /* style of the path that `out` ends with, when it may be joined */

  while (*svg != '\0')
    {
      const char *line = strchr (svg, '\n');
      const char *end = line != NULL ? line + 1 : svg + strlen (svg);
      const char *d = g_str_has_prefix (svg, head) ? g_strstr_len (svg, end - svg, middle) : NULL;
      const char *close = d != NULL ? g_strstr_len (d, end - d, tail) : NULL;
      g_autofree char *style = NULL;
      gsize length = out->len;
      gboolean join;

      if (close != NULL)
        style = tidy_style (svg + strlen (head), (gsize) (d - svg) - strlen (head));
      join = style != NULL && g_strcmp0 (style, before) == 0;
      if (join)
        g_string_truncate (out, out->len - strlen (tail));
      else if (style != NULL)
        g_string_append_printf (out, "%s%s%s", head, style, middle);
      if (style == NULL || !append_path (out, d + strlen (middle), close))
        {
          if (style != NULL)
            {
              g_string_truncate (out, join ? length - strlen (tail) : length);
              g_string_append (out, join ? tail : "");
            }
          g_string_append_len (out, svg, end - svg);
          g_clear_pointer (&before, g_free);
        }
      else
        {
          g_string_append (out, tail);
          g_free (before);
          before = may_join (style) ? g_steal_pointer (&style) : NULL;
        }
      svg = end;
    }
}

/* --- Ids --------------------------------------------------------------------------------------- */

/* Numbers surfaces from 0 in order of appearance: cairo counts them over the life of the process. */
static gboolean
number_surface (const GMatchInfo *match, GString *out, gpointer seen)
{
  g_autofree char *name = g_match_info_fetch (match, 0);
  gpointer number;

  if (!g_hash_table_lookup_extended (seen, name, NULL, &number))
    {
      number = GUINT_TO_POINTER (g_hash_table_size (seen));
      g_hash_table_insert (seen, g_strdup (name), number);
    }
  g_string_append_printf (out, "surface%u", GPOINTER_TO_UINT (number));
  return FALSE;
}

/* The same drawing gets the same ids, and two drawings in one page get different ones. */
static char *
name_ids (const char *svg)
{
  g_autoptr (GRegex) surfaces = g_regex_new ("surface[0-9]+", 0, 0, NULL);
  g_autoptr (GRegex) ids = g_regex_new ("( id=\"|url\\(#|href=\"#)", 0, 0, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *numbered
      = g_regex_replace_eval (surfaces, svg, -1, 0, 0, number_surface, seen, NULL);
  g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA1, numbered, -1);
  g_autofree char *prefix = g_strdup_printf ("\\1f%.8s-", hash);

  return g_regex_replace (ids, numbered, -1, 0, prefix, 0, NULL);
}

GString *
ms_svg_tidy (const char *svg)
{
  g_autofree char *named = name_ids (svg);
  GString *out = g_string_new (NULL);

  tidy_paths (out, named);
  return out;
}
