/* The words of a figure: titles, notes, and what a row says as tooltip, accessible text or line.
 *
 * They depend on the table and the plot alone, never on a layout. */
#include "figure-private.h"

#include <math.h>

static char *
name_category (const MsChannel *channel, guint category)
{
  if (category >= channel->n)
    return g_strdup ("");
  if (channel->numbers == NULL)
    return g_strdup (channel->names[category]);
  return g_strdup_printf ("%s %s", channel->column->title, channel->names[category]);
}

char *
ms_facet_title (const MsFigure *figure, guint facet)
{
  return name_category (&figure->facet, facet);
}

char *
ms_series_name (const MsFigure *figure, guint series)
{
  return name_category (&figure->series, series);
}

char *
ms_figure_x_title (const MsFigure *figure)
{
  return figure->plot->x_title != NULL ? g_strdup (figure->plot->x_title)
                                       : ms_channel_title (&figure->x);
}

char *
ms_figure_y_title (const MsFigure *figure)
{
  return figure->plot->y_title != NULL ? g_strdup (figure->plot->y_title)
                                       : ms_channel_title (&figure->y);
}

char *
ms_figure_notes (const MsFigure *figure, guint panels_shown)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);

  if (panels_shown == 1 && figure->n_facets > 1)
    g_ptr_array_add (notes, g_strdup_printf ("The first of %u panels is drawn; the data hold all.",
                                             figure->n_facets));
  else if (panels_shown < figure->n_facets)
    g_ptr_array_add (
        notes, g_strdup_printf ("%u of %u panels are drawn, evenly spread; the data hold all.",
                                panels_shown, figure->n_facets));
  if (figure->chosen_series != NULL && figure->mark->legend)
    g_ptr_array_add (notes,
                     g_strdup_printf ("Coloured are the %u of %u %s.", figure->theme.n_series,
                                      figure->n_series, figure->chosen_series));
  if (figure->ordered_series && figure->series.numbers != NULL)
    for (guint i = 0; i < figure->n_series; i++)
      if (isnan (figure->series.numbers[i]))
        g_ptr_array_add (notes,
                         g_strdup_printf ("The strongest line: %s.", figure->series.names[i]));
  if (figure->reference.column != NULL && figure->n_facets > 1 && figure->n_tracks > 0
      && g_strcmp0 (figure->plot->reference, figure->plot->x) != 0)
    g_ptr_array_add (notes, g_strdup_printf ("Dashed: %s.", figure->reference.column->title));
  if (figure->clip_low || figure->clip_high)
    g_ptr_array_add (notes, g_strdup ("Triangle: values beyond the scale."));
  if (figure->mark_note != NULL)
    g_ptr_array_add (notes, g_strdup (figure->mark_note));
  if (figure->note != NULL && figure->note[0] != '\0')
    g_ptr_array_add (notes, g_strdup (figure->note));
  if (notes->len == 0)
    return NULL;
  g_ptr_array_add (notes, NULL);
  return g_strjoinv (" ", (char **) notes->pdata);
}

char *
ms_figure_drawn_notes (const MsFigure *figure, guint panels_shown)
{
  return figure->captioned ? NULL : ms_figure_notes (figure, panels_shown);
}

char *
ms_figure_caption (MsFigure *figure, double width, double height)
{
  double used = height > 0 ? height : ms_figure_natural_height (figure, width);
  g_autofree char *notes = ms_figure_notes (figure, ms_figure_layout (figure, width, used)->shown);
  gboolean ended = g_str_has_suffix (figure->plot->title, ".");

  return g_strconcat (figure->plot->title, ended ? "" : ".", notes != NULL ? " " : "",
                      notes != NULL ? notes : "", NULL);
}

/* "Layer 3" for numbers, the text itself for names. */
static void
name_place (GString *out, const MsFigure *figure, const MsChannel *channel, guint row)
{
  g_autofree char *text = NULL;

  if (channel->column == NULL)
    return;
  text = ms_table_format (figure->table, row, channel->index);
  if (out->len > 0)
    g_string_append (out, ", ");
  if (channel->column->type == MS_COLUMN_TEXT)
    {
      g_autofree char *clean = ms_text_printable (text, -1);

      g_string_append (out, clean[0] != '\0' ? clean : "(unnamed)");
    }
  else
    g_string_append_printf (out, "%s %s%s%s", channel->column->title, text,
                            channel->column->unit != NULL ? " " : "",
                            channel->column->unit != NULL ? channel->column->unit : "");
}

/* Of running text the token as it is, its bytes too; FALSE where the table does not tell it. */
static gboolean
name_token (GString *out, const MsFigure *figure, guint row)
{
  int column = figure->mark->spells ? ms_table_find_column (figure->table, "token") : -1;
  g_autofree char *text = NULL;

  if (column < 0 || ms_table_column (figure->table, (guint) column)->type != MS_COLUMN_TEXT)
    return FALSE;
  text = ms_text_printable (ms_table_get_text (figure->table, row, (guint) column), -1);
  if (text[0] == '\0')
    return FALSE;
  g_string_append (out, text);
  return TRUE;
}

static void
tell_value (GString *out, const MsFigure *figure, const MsChannel *channel, guint row)
{
  g_autofree char *text = ms_table_format (figure->table, row, channel->index);

  if (text[0] == '\0')
    g_string_append_printf (out, "%s: no data", channel->column->title);
  else
    g_string_append_printf (out, "%s %s%s%s", channel->column->title, text,
                            channel->column->unit != NULL ? " " : "",
                            channel->column->unit != NULL ? channel->column->unit : "");
}

char *
ms_figure_describe (MsFigure *figure, int row)
{
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean coloured = figure->value.column != NULL;
  const MsChannel *value = coloured ? &figure->value : &figure->y;
  guint r = (guint) row;

  if (row < 0 || r >= ms_table_n_rows (figure->table))
    return g_strdup ("");
  if (!name_token (out, figure, r))
    name_place (out, figure, &figure->label, r);
  name_place (out, figure, &figure->facet, r);
  name_place (out, figure, &figure->series, r);
  if (coloured && figure->y.column != NULL)
    name_place (out, figure, &figure->y, r);
  name_place (out, figure, &figure->x, r);
  if (figure->x2.column != NULL)
    {
      g_autofree char *edge = ms_table_format (figure->table, r, figure->x2.index);

      g_string_append_printf (out, " to %s", edge);
    }
  /* Text may be coloured by a category alone. */
  if (value->column == NULL)
    return g_string_free (g_steal_pointer (&out), FALSE);
  if (out->len > 0)
    g_string_append (out, ": ");
  tell_value (out, figure, value, r);
  if (figure->low.column != NULL && figure->high.column != NULL
      && isfinite (ms_channel_raw (&figure->low, r))
      && isfinite (ms_channel_raw (&figure->high, r)))
    {
      g_autofree char *low = ms_table_format (figure->table, r, figure->low.index);
      g_autofree char *high = ms_table_format (figure->table, r, figure->high.index);

      g_string_append_printf (out, " (%s to %s)", low, high);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}
