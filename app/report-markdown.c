/* The report as Markdown, with its figures as SVG files beside it. */
#include "markdown.h"
#include "report-format.h"

#include <glib/gstdio.h>
#include <string.h>

#define ROWS 25 /* of a table */

/* The report's own sentences, in which backticks mark code; names in them make no markup and no links. */
static void
append_prose (GString *out, const char *text)
{
  for (const char *c = text; *c != '\0'; c++)
    if (*c == '<')
      g_string_append (out, "&lt;");
    else
      {
        if (*c == '*' || (*c == ']' && c[1] != '\0' && strchr ("([:", c[1]) != NULL))
          g_string_append_c (out, '\\');
        g_string_append_c (out, *c);
      }
}

/* A command as code; one that could end the code or be taken for markup is escaped text instead. */
static void
append_code (GString *out, const char *text)
{
  if (strpbrk (text, "`<") == NULL)
    g_string_append_printf (out, "`%s`", text);
  else
    ms_markdown_append (out, text);
}

static void
append_table (GString *out, const MsBlock *block)
{
  const MsTable *table = block->table;
  guint n = ms_table_n_rows (table), shown = MIN (n, ROWS);

  g_string_append_printf (out, "**%s**\n\n|", ms_table_def (table)->title);
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    {
      g_autofree char *title = ms_report_column_title (ms_table_column (table, i));

      g_string_append_c (out, ' ');
      ms_markdown_append (out, title);
      g_string_append (out, " |");
    }
  g_string_append (out, "\n|");
  for (guint i = 0; i < ms_table_n_columns (table); i++)
    g_string_append (out,
                     ms_table_column (table, i)->type == MS_COLUMN_TEXT ? " --- |" : " ---: |");
  g_string_append_c (out, '\n');
  for (guint row = 0; row < shown; row++)
    {
      g_string_append_c (out, '|');
      for (guint i = 0; i < ms_table_n_columns (table); i++)
        {
          g_autofree char *text = ms_table_format (table, row, i);

          g_string_append_c (out, ' ');
          ms_markdown_append (out, text);
          g_string_append (out, " |");
        }
      g_string_append_c (out, '\n');
    }
  if (shown < n)
    {
      g_string_append_printf (out, "\nThe first %u of %u rows; all: ", shown, n);
      append_code (out, block->text);
      g_string_append_c (out, '\n');
    }
  g_string_append_c (out, '\n');
}

static gboolean
append_figure (GString *out, const MsBlock *block, const char *folder, GError **error)
{
  g_autofree char *folder_name = g_path_get_basename (folder);
  g_autofree char *name = g_strdup_printf ("%s-%s.svg", block->section->id, block->plot->name);
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (MsFigure) figure = ms_report_figure (block, ms_theme_find ("screen"), FALSE);

  if (figure == NULL)
    return TRUE;
  if (g_mkdir_with_parents (folder, 0777) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: this folder cannot be made", folder);
      return FALSE;
    }
  if (!ms_figure_save (figure, path, 6.75, 0, 0, NULL, error))
    return FALSE;
  g_string_append (out, "![");
  ms_markdown_append (out, block->text);
  g_string_append_printf (out, "](%s/%s)\n\n", folder_name, name);
  return TRUE;
}

static void
append_items (GString *out, const MsBlock *block)
{
  for (guint i = 0; i < block->items->len; i++)
    {
      const MsItem *item = &g_array_index (block->items, MsItem, i);

      switch (block->kind)
        {
        case MS_BLOCK_RANKED:
          g_string_append_printf (out, "%u. ", i + 1);
          append_prose (out, item->text);
          g_string_append_printf (out, " (%s; %s)\n", item->place->title, item->name);
          break;
        case MS_BLOCK_NUMBERS:
          g_string_append_printf (out, "- %s: **%s%s%s**. ", item->name,
                                  item->number != NULL ? item->number : "\xe2\x80\x93",
                                  item->unit != NULL ? " " : "",
                                  item->unit != NULL ? item->unit : "");
          append_prose (out, item->text);
          g_string_append_c (out, '\n');
          break;
        case MS_BLOCK_FACTS:
          g_string_append_printf (out, "- %s: ", item->name);
          (strcmp (item->name, "Command") == 0 ? append_code : append_prose) (out, item->text);
          g_string_append_c (out, '\n');
          break;
        default:
          g_string_append (out, "- ");
          append_prose (out, item->text);
          g_string_append_c (out, '\n');
        }
    }
  g_string_append_c (out, '\n');
}

static GBytes *
write_markdown (const MsReport *report, const MsReportTarget *target, GError **error)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GPtrArray) blocks = ms_report_content (report);
  g_autofree char *folder = g_strdup_printf (
      "%.*s-figures", (int) (strrchr (target->path, '.') - target->path), target->path);

  for (guint i = 0; i < blocks->len; i++)
    {
      const MsBlock *block = blocks->pdata[i];

      switch (block->kind)
        {
        case MS_BLOCK_HEADING:
          g_string_append_printf (out, "%.*s ", (int) block->level, "###");
          append_prose (out, block->text);
          g_string_append (out, "\n\n");
          break;
        case MS_BLOCK_TEXT:
          append_prose (out, block->text);
          g_string_append (out, "\n\n");
          break;
        case MS_BLOCK_FIGURE:
          if (!append_figure (out, block, folder, error))
            return NULL;
          break;
        case MS_BLOCK_TABLE:
          append_table (out, block);
          break;
        default:
          append_items (out, block);
        }
    }
  return g_string_free_to_bytes (g_steal_pointer (&out));
}

const MsReportFormat ms_report_format_markdown = {
  .endings = (const char *const[]){ ".md", NULL },
  .write = write_markdown,
};
