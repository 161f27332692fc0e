/* The report as one HTML file: no script, no other file.  Figures are inline SVG whose ink, paper and
 * series colours are CSS variables, so that one drawing serves light, dark and print. */
#include "report-format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 6.9 /* of a figure, inches */
#define ROWS  50  /* of a table */
#define WIDE  12  /* columns of a table that fit on paper: see the style */

static const char style[]
    = ":root{color-scheme:light dark;--paper:#fff;--ink:#1d1d20;--soft:#5c5c63;--rule:#d9d9de;"
      "--link:#0b5cad;--warn:#a33a00;"
      "--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#e69f00;--s5:#56b4e9;--s6:#f0e442}"
      "\n"
      "@media(prefers-color-scheme:dark){:root{--paper:#1b1b1d;--ink:#ececee;--soft:#a9a9b0;"
      "--rule:#3d3d42;--link:#7cb9ff;--warn:#ff9a66;"
      "--s0:#3d9fdb;--s1:#e8762c;--s2:#1fb88b;--s3:#db93bb;--s5:#8fcff5}}\n"
      "body{margin:0 auto;padding:2rem 1.2rem 4rem;max-width:47rem;background:var(--paper);"
      "color:var(--ink);font:1rem/1.5 system-ui,'DejaVu Sans',sans-serif}\n"
      "h1{font-size:1.65rem;line-height:1.25;margin:0 0 .3rem}"
      "h2{font-size:1.3rem;margin:2.6rem 0 .5rem;padding-top:.6rem;border-top:1px solid "
      "var(--rule)}"
      "h3{font-size:1rem;margin:1.4rem 0 .3rem}\n"
      "a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
      ".sub,.note,figcaption,.place{color:var(--soft)}.note,figcaption{font-size:.88rem}\n"
      ".six{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.7rem;"
      "margin:1.2rem 0}.six div{border:1px solid var(--rule);border-radius:.5rem;padding:.5rem "
      ".8rem;"
      "break-inside:avoid}.six b{font-size:1.7rem;line-height:1.3}.six p{margin:.1rem 0;"
      "font-size:.85rem}\n"
      ".lead{font-size:1.05rem;margin:.4rem 0 1rem}"
      "ol,ul{padding-left:1.3rem}li{margin:.28rem 0}.place{font-size:.85rem;white-space:nowrap}\n"
      "figure{margin:1rem 0}figure svg{max-width:100%;height:auto;display:block}\n"
      "details{margin:.6rem 0}summary{cursor:pointer;color:var(--link);font-size:.92rem}"
      ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.82rem;"
      "font-variant-numeric:tabular-nums;margin:.5rem 0}"
      "th,td{padding:.16rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid "
      "var(--rule);"
      "vertical-align:top}th{font-weight:600;white-space:normal;vertical-align:bottom;border-"
      "bottom-width:2px}"
      ".t{text-align:left}td.t{white-space:normal}.wide{display:none}"
      "@media(max-width:34rem){td .place{white-space:normal}}\n"
      "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem "
      "1rem;font-size:.9rem;margin:.5rem 0}"
      "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
      "code{font:.86em/1.4 'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}"
      ".warn{color:var(--warn)}\n"
      "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--link:#000;"
      "--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s5:#56b4e9}"
      "@page{margin:16mm}body{max-width:none;padding:0}figure svg{max-width:130mm}"
      "details:not([open]){display:none}.scroll{overflow:visible}.scroll table{font-size:6.5pt}"
      ".scroll th,.scroll td{padding:.1rem .25rem}"
      ".scroll th:nth-child(n+13),.scroll td:nth-child(n+13){display:none}.wide{display:block}"
      "figure,tr{break-inside:avoid}h2,h3,.sub,.lead,summary{break-after:avoid}"
      "html{font-size:9.5pt}}\n";

/* Colours that stand for variables.  Paper is not pure white, which numbers in cells use. */
static const MsColour ink = { 0x1d / 255.0, 0x1d / 255.0, 0x20 / 255.0 };
static const MsColour paper = { 0xfd / 255.0, 0xfd / 255.0, 0xfe / 255.0 };
static const MsColour faint = { 0xcd / 255.0, 0xcd / 255.0, 0xd2 / 255.0 };

/* printf whose %s are escaped. */
static void G_GNUC_PRINTF (2, 3) append (GString *out, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_markup_vprintf_escaped (format, args);
  va_end (args);
  g_string_append (out, text);
}

/* --- Figures ------------------------------------------------------------------------------------ */

static gboolean
near (MsColour a, MsColour b)
{
  return fabs (a.r - b.r) < 4e-3 && fabs (a.g - b.g) < 4e-3 && fabs (a.b - b.b) < 4e-3;
}

static MsColour
mix (MsColour a, MsColour b, double share)
{
  return (MsColour){ a.r + (b.r - a.r) * share, a.g + (b.g - a.g) * share,
                     a.b + (b.b - a.b) * share };
}

/* A CSS value for colours between ink and paper and for series; FALSE for all others. */
static gboolean
variable_of (MsColour colour, const MsTheme *theme, char *out, gsize size)
{
  double share = (colour.g - ink.g) / (paper.g - ink.g);

  for (guint i = 0; i < theme->n_series; i++)
    /* The line itself, or its name, which is darker (line.c). */
    if (near (colour, theme->series[i]) || near (colour, mix (theme->series[i], ink, 0.35)))
      {
        g_snprintf (out, size, "var(--s%u)", i);
        return TRUE;
      }
  if (near (colour, ink))
    g_strlcpy (out, "var(--ink)", size);
  else if (near (colour, paper))
    g_strlcpy (out, "var(--paper)", size);
  else if (near (colour, faint) || near (colour, mix (faint, ink, 0.12)))
    g_strlcpy (out, "var(--rule)", size);
  else if (share > 0.1 && share < 0.9 && near (colour, mix (ink, paper, share)))
    g_strlcpy (out, "var(--soft)", size);
  else
    return FALSE;
  return TRUE;
}

static gboolean
replace_colour (const GMatchInfo *match, GString *out, gpointer data)
{
  g_autofree char *text = g_match_info_fetch (match, 0);
  MsColour colour;
  char variable[32];

  if (text[0] == '#')
    {
      guint64 rgb = g_ascii_strtoull (text + 1, NULL, 16);

      colour = (MsColour){ (double) (rgb >> 16) / 255, (double) (rgb >> 8 & 255) / 255,
                           (double) (rgb & 255) / 255 };
    }
  else
    {
      g_autofree char *r = g_match_info_fetch (match, 1), *g = g_match_info_fetch (match, 2);
      g_autofree char *b = g_match_info_fetch (match, 3);

      colour = (MsColour){ g_ascii_strtod (r, NULL) / 100, g_ascii_strtod (g, NULL) / 100,
                           g_ascii_strtod (b, NULL) / 100 };
    }
  g_string_append (out, variable_of (colour, data, variable, sizeof variable) ? variable : text);
  return FALSE;
}

/* The SVG element alone, its colours as variables. */
static char *
make_svg (MsFigure *figure, const MsTheme *theme)
{
  g_autoptr (GRegex) colours
      = g_regex_new ("rgb\\(([0-9.]+)%,([0-9.]+)%,([0-9.]+)%\\)|#[0-9a-f]{6}", 0, 0, NULL);
  g_autofree char *svg = ms_figure_to_svg (figure, WIDTH, 0, NULL);
  const char *start = svg != NULL ? strstr (svg, "<svg ") : NULL;

  if (start == NULL)
    return NULL;
  return g_regex_replace_eval (colours, start, -1, 0, 0, replace_colour, (gpointer) theme, NULL);
}

/* Escaped text; what stands between backticks becomes code, and a number keeps its per cent sign. */
static void
append_prose (GString *out, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  gboolean code = FALSE;

  for (const char *c = escaped; *c != '\0'; c++)
    if (*c == '`' && (code || strchr (c + 1, '`') != NULL))
      {
        g_string_append (out, code ? "</code>" : "<code>");
        code = !code;
      }
    else if (*c == ' ' && c[1] == '%')
      g_string_append (out, "\xc2\xa0");
    else
      g_string_append_c (out, *c);
}

static void
append_figure (GString *out, const MsBlock *block)
{
  MsTheme theme = *ms_theme_find ("screen");
  g_autoptr (MsFigure) figure = NULL;
  g_autofree char *svg = NULL;

  theme.ink = ink;
  theme.paper = paper;
  theme.faint = faint;
  figure = ms_report_figure (block, &theme, TRUE);
  svg = figure != NULL ? make_svg (figure, &theme) : NULL;
  if (svg == NULL)
    return;
  append (out, "<figure role=\"img\" aria-label=\"%s\">", block->plot->title);
  g_string_append (out, svg);
  g_string_append (out, "<figcaption>");
  append_prose (out, block->text);
  g_string_append (out, "</figcaption></figure>\n");
}

/* --- The other blocks ----------------------------------------------------------------------------- */

static void
append_table (GString *out, const MsBlock *block)
{
  const MsTable *table = block->table;
  guint n = ms_table_n_rows (table), shown = MIN (n, ROWS);

  append (out,
          "<details%s><summary>Table: %s (%u row%s)</summary>\n<div class=\"scroll\"><table><tr>",
          n <= 12 && n > 0 ? " open" : "", ms_table_def (table)->title, n, n == 1 ? "" : "s");
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      const MsColumn *column = ms_table_column (table, i);
      g_autofree char *title = ms_report_column_title (column);

      append (out, "<th%s title=\"%s\">%s", column->type == MS_COLUMN_TEXT ? " class=t" : "",
              column->help != NULL ? column->help : "", title);
    }
  g_string_append_c (out, '\n');
  for (guint row = 0; row < shown; row++)
    {
      g_string_append (out, "<tr>");
      for (guint i = 0; i < ms_table_n_columns (table); i++)
        {
          g_autofree char *text = ms_table_format (table, row, i);

          g_string_append (out, ms_table_column (table, i)->type == MS_COLUMN_TEXT ? "<td class=t>"
                                                                                   : "<td>");
          append (out, "%s", ms_table_is_null (table, row, i) ? "\xe2\x80\x93" : text);
        }
      g_string_append_c (out, '\n');
    }
  g_string_append (out, "</table></div>\n");
  if (ms_table_n_columns (table) > WIDE)
    append (out,
            "<p class=\"note wide\">The first %d of %u columns; all of them: <code>%s</code></p>\n",
            WIDE, ms_table_n_columns (table), block->text);
  if (shown < n)
    append (out, "<p class=\"note\">The first %u of %u rows; all of them: <code>%s</code></p>\n",
            shown, n, block->text);
  g_string_append (out, "</details>\n");
}

static void
append_items (GString *out, const MsBlock *block)
{
  gboolean ranked = block->kind == MS_BLOCK_RANKED, facts = block->kind == MS_BLOCK_FACTS;
  const char *note = block->role == MS_ROLE_NOTE ? " class=\"note\"" : "";

  g_string_append_printf (out,
                          ranked  ? "<table class=\"ranked\">\n"
                          : facts ? "<dl>"
                                  : "<ul%s>",
                          note);
  for (guint i = 0; i < block->items->len; i++)
    {
      const MsItem *item = &g_array_index (block->items, MsItem, i);

      if (facts && strcmp (item->name, "Command") == 0)
        append (out, "<dt>%s</dt><dd><code>%s</code></dd>\n", item->name, item->text);
      else
        {
          append (out,
                  facts    ? "<dt>%s</dt><dd>"
                  : ranked ? "<tr><td>%s<td class=t>"
                           : "<li>%s",
                  facts || ranked ? item->name : "");
          append_prose (out, item->text);
          g_string_append (out, facts ? "</dd>\n" : "");
        }
      if (item->place != NULL)
        append (out,
                ranked ? "<td class=t><a class=\"place\" href=\"#%s\">%s</a>"
                       : " <a class=\"place\" href=\"#%s\">%s</a>",
                item->place->id, item->place->title);
      if (!facts)
        g_string_append_c (out, '\n');
    }
  g_string_append (out, ranked ? "</table>\n" : facts ? "</dl>\n" : "</ul>\n");
}

static void
append_numbers (GString *out, const MsBlock *block)
{
  g_string_append (out, "<div class=\"six\">\n");
  for (guint i = 0; i < block->items->len; i++)
    {
      const MsItem *item = &g_array_index (block->items, MsItem, i);

      g_string_append (out, "<div><p>");
      if (item->place != NULL)
        append (out, "<a href=\"#%s\">%s</a>", item->place->id, item->name);
      else
        append (out, "%s", item->name);
      append (out, "</p><b>%s</b> %s<p>%s</p></div>\n",
              item->number != NULL ? item->number : "\xe2\x80\x93",
              item->unit != NULL ? item->unit : "", item->text);
    }
  g_string_append (out, "</div>\n");
}

static void
append_text (GString *out, const MsBlock *block)
{
  static const char *const classes[] = { [MS_ROLE_PLAIN] = "",
                                         [MS_ROLE_LEAD] = " class=\"lead\"",
                                         [MS_ROLE_SOFT] = " class=\"sub\"",
                                         [MS_ROLE_NOTE] = " class=\"note\"",
                                         [MS_ROLE_WARNING] = " class=\"warn\"" };

  g_string_append_printf (out, "<p%s>", classes[block->role]);
  append_prose (out, block->text);
  g_string_append (out, "</p>\n");
}

/* Figures after a section's first are folded away together. */
static guint
append_further (GString *out, const GPtrArray *blocks, guint from)
{
  guint n = 0;

  for (; from + n < blocks->len; n++)
    if (((const MsBlock *) blocks->pdata[from + n])->kind != MS_BLOCK_FIGURE)
      break;
  append (out, "<details><summary>%u more figure%s</summary>\n", n, n == 1 ? "" : "s");
  for (guint i = 0; i < n; i++)
    append_figure (out, blocks->pdata[from + i]);
  g_string_append (out, "</details>\n");
  return n;
}

static GBytes *
write_html (const MsReport *report, const MsReportTarget *target, GError **error)
{
  GString *out = g_string_new ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                               "<meta name=\"viewport\" content=\"width=device-width\">");
  g_autoptr (GPtrArray) blocks = ms_report_content (report);

  (void) target, (void) error;
  append (out, "<title>%s</title><meta name=\"generator\" content=\"moescope %s\"><style>",
          report->title, MS_VERSION);
  g_string_append (out, style);
  g_string_append (out, "</style></head><body>\n");
  for (guint i = 0; i < blocks->len; i++)
    {
      const MsBlock *block = blocks->pdata[i];

      switch (block->kind)
        {
        case MS_BLOCK_HEADING:
          append (out, "<h%u id=\"%s\">%s</h%u>\n", block->level,
                  block->id != NULL ? block->id : "", block->text, block->level);
          break;
        case MS_BLOCK_TEXT:
          append_text (out, block);
          break;
        case MS_BLOCK_FIGURE:
          if (block->further)
            i += append_further (out, blocks, i) - 1;
          else
            append_figure (out, block);
          break;
        case MS_BLOCK_TABLE:
          append_table (out, block);
          break;
        case MS_BLOCK_NUMBERS:
          append_numbers (out, block);
          break;
        default:
          append_items (out, block);
        }
    }
  g_string_replace (out, " id=\"\"", "", 0);
  g_string_append (out, "</body></html>\n");
  return g_string_free_to_bytes (out);
}

const MsReportFormat ms_report_format_html = {
  .endings = (const char *const[]){ ".html", ".htm", NULL },
  .write = write_html,
};
