/* MsHeadlineBox keeps a card for each headline, in the order of ms_headlines(); what it says comes from
 * the results alone.  Every headline has a row in the table of places, which a test holds. */
#include "headline-box-private.h"

#include "pieces-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

const MsHeadlinePlace ms_headline_places[] = {
  { "imbalance", "win.analysis", "load" },
  { "entropy", "win.map", "entropy" },
  { "dead-experts", "win.map", "load" },
  { "top-expert", "win.map", "load" },
  { "specialisation", "win.map", "specialisation" },
  { "cache-hits", "win.cache", "half" },
  { NULL, NULL, NULL },
};

#define N_CARDS (G_N_ELEMENTS (ms_headline_places) - 1)

typedef struct
{
  const MsHeadlineDef *def;
  const MsHeadlinePlace *more;
  GtkWidget *button;
  GtkLabel *number, *unit, *text;
  char *spoken, *place;
} Card;

struct _MsHeadlineBox
{
  AdwBin parent_instance;
  MsWorkbench *bench;
  Card cards[N_CARDS];
};

G_DEFINE_FINAL_TYPE (MsHeadlineBox, ms_headline_box, ADW_TYPE_BIN)

static void
set_faint (gpointer widget, gboolean faint)
{
  if (faint)
    gtk_widget_add_css_class (widget, "dim-label");
  else
    gtk_widget_remove_css_class (widget, "dim-label");
}

/* Fills the card; takes place. */
static void
fill (Card *card, const char *number, const char *unit, const char *text, char *place,
      gboolean faint)
{
  gtk_label_set_text (card->number, number);
  gtk_label_set_text (card->unit, unit != NULL ? unit : "");
  gtk_widget_set_visible (GTK_WIDGET (card->unit), unit != NULL);
  gtk_label_set_text (card->text, text);
  set_faint (card->number, faint);
  g_free (card->place);
  card->place = place;
  g_free (card->spoken);
  card->spoken = text[0] == '\0'
                     ? g_strdup ("")
                     : g_strdup_printf ("%s: %s%s%s. %s", _ (card->def->title), number,
                                        unit != NULL ? " " : "", unit != NULL ? unit : "", text);
  ms_widget_name (card->button, card->spoken[0] != '\0' ? card->spoken : _ (card->def->title));
}

void
ms_headline_box_wait (MsHeadlineBox *self)
{
  for (guint i = 0; i < N_CARDS; i++)
    fill (&self->cards[i], "\xe2\x80\xa6", NULL, "", NULL, TRUE);
}

void
ms_headline_box_show (MsHeadlineBox *self, MsOutcome *outcome)
{
  for (guint i = 0; i < N_CARDS; i++)
    {
      Card *card = &self->cards[i];
      g_autoptr (MsHeadline) headline = NULL;
      g_autofree char *text = NULL;
      gboolean partial = outcome->share < 1;

      if (strcmp (card->def->analysis, outcome->request->analysis->name) != 0)
        continue;
      headline = ms_headline_new (card->def, outcome->result);
      if (headline->number == NULL)
        text = g_strdup_printf (_ ("Not available: %s"), headline->text);
      else if (partial)
        text = g_strdup_printf (_ ("On %.2g %% of the tokens so far: %s"), 100 * outcome->share,
                                headline->text);
      else
        text = g_strdup (headline->text);
      fill (card, headline->number != NULL ? headline->number : "\xe2\x80\x93",
            headline->unit != NULL ? _ (headline->unit) : NULL, text,
            g_steal_pointer (&headline->place), partial || headline->number == NULL);
    }
}

void
ms_headline_box_fail (MsHeadlineBox *self, const char *analysis, const GError *error)
{
  g_autofree char *text = g_strdup_printf (_ ("Not available: %s"), error->message);

  for (guint i = 0; i < N_CARDS; i++)
    if (strcmp (self->cards[i].def->analysis, analysis) == 0)
      fill (&self->cards[i], "\xe2\x80\x93", NULL, text, NULL, TRUE);
}

const char *
ms_headline_box_get_number (MsHeadlineBox *self, guint n)
{
  return gtk_label_get_text (self->cards[n].number);
}

const char *
ms_headline_box_get_text (MsHeadlineBox *self, guint n)
{
  return self->cards[n].spoken;
}

void
ms_headline_box_jump (MsHeadlineBox *self, guint n)
{
  /* Numbers are of all layers: only the map shows them all when some are brushed. */
  gboolean map = strcmp (self->cards[n].more->action, "win.map") == 0;
  const char *place = map && self->cards[n].place != NULL ? self->cards[n].place : "";

  ms_session_jump (ms_workbench_get_session (self->bench), place, NULL);
  gtk_widget_activate_action (GTK_WIDGET (self), self->cards[n].more->action, "s",
                              self->cards[n].more->target);
}

static void
on_clicked (MsHeadlineBox *self, GtkWidget *button)
{
  for (guint i = 0; i < N_CARDS; i++)
    if (self->cards[i].button == button)
      ms_headline_box_jump (self, i);
}

static void
dispose (GObject *object)
{
  g_clear_object (&MS_HEADLINE_BOX (object)->bench);
  G_OBJECT_CLASS (ms_headline_box_parent_class)->dispose (object);
}

static void
finalize (GObject *object)
{
  MsHeadlineBox *self = MS_HEADLINE_BOX (object);

  for (guint i = 0; i < N_CARDS; i++)
    {
      g_free (self->cards[i].spoken);
      g_free (self->cards[i].place);
    }
  G_OBJECT_CLASS (ms_headline_box_parent_class)->finalize (object);
}

static void
ms_headline_box_class_init (MsHeadlineBoxClass *class)
{
  G_OBJECT_CLASS (class)->dispose = dispose;
  G_OBJECT_CLASS (class)->finalize = finalize;
}

static GtkLabel *
add_label (GtkWidget *box, const char *text, const char *css_class)
{
  GtkWidget *label = gtk_label_new (text);

  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_add_css_class (label, css_class);
  gtk_box_append (GTK_BOX (box), label);
  return GTK_LABEL (label);
}

static void
make_card (MsHeadlineBox *self, GtkFlowBox *flow, Card *card)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 3);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  set_faint (add_label (box, _ (card->def->title), "caption-heading"), TRUE);
  card->number = add_label (line, NULL, "title-1");
  card->unit = add_label (line, NULL, "caption");
  gtk_widget_set_valign (GTK_WIDGET (card->unit), GTK_ALIGN_BASELINE);
  gtk_widget_set_valign (GTK_WIDGET (card->number), GTK_ALIGN_BASELINE);
  gtk_box_append (GTK_BOX (box), line);
  card->text = add_label (box, NULL, "caption");
  gtk_label_set_wrap (card->text, TRUE);
  gtk_label_set_wrap_mode (card->text, PANGO_WRAP_WORD_CHAR);
  gtk_label_set_width_chars (card->text, 24);
  gtk_label_set_max_width_chars (card->text, 28);
  gtk_label_set_yalign (card->text, 0);
  ms_widget_set_margins (box, 6);
  card->button = gtk_button_new ();
  gtk_button_set_child (GTK_BUTTON (card->button), box);
  gtk_widget_add_css_class (card->button, "card");
  g_signal_connect_swapped (card->button, "clicked", G_CALLBACK (on_clicked), self);
  gtk_flow_box_append (flow, card->button);
  gtk_widget_set_focusable (gtk_widget_get_parent (card->button), FALSE);
}

static void
ms_headline_box_init (MsHeadlineBox *self)
{
  GtkFlowBox *flow = GTK_FLOW_BOX (gtk_flow_box_new ());

  ms_widget_name (GTK_WIDGET (flow), _ ("Six Numbers"));
  gtk_flow_box_set_selection_mode (flow, GTK_SELECTION_NONE);
  gtk_flow_box_set_homogeneous (flow, TRUE);
  gtk_flow_box_set_max_children_per_line (flow, 3);
  gtk_flow_box_set_row_spacing (flow, 12);
  gtk_flow_box_set_column_spacing (flow, 12);
  for (guint i = 0; i < N_CARDS; i++)
    {
      Card *card = &self->cards[i];

      card->def = &ms_headlines ()[i];
      card->more = ms_headline_places;
      while (g_strcmp0 (card->more->name, card->def->name) != 0)
        if ((card->more++)->name == NULL)
          g_error ("the headline “%s” has no place", card->def->name);
      make_card (self, flow, card);
    }
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (flow));
  ms_headline_box_wait (self);
}

GtkWidget *
ms_headline_box_new (MsWorkbench *bench)
{
  MsHeadlineBox *self = g_object_new (MS_TYPE_HEADLINE_BOX, NULL);

  self->bench = g_object_ref (bench);
  return GTK_WIDGET (self);
}
