/* MsSession keeps the selection as a value: every change makes a new text, pushed on a list of texts.
 * Invariants: texts[at] is the canonical form of `selection`; listeners hear of a change once. */
#include "session-private.h"

#include <string.h>

struct _MsSession
{
  GObject parent_instance;
  GPtrArray *texts; /* of char* */
  guint at;
  MsSelection *selection;
  MsPlace hover;
  gint64 primary;
};

enum
{
  PROP_TEXT = 1,
  PROP_HOVER,
  PROP_PRIMARY,
  PROP_CAN_GO_BACK,
  PROP_CAN_GO_FORWARD,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (MsSession, ms_session, G_TYPE_OBJECT)

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  MsSession *self = MS_SESSION (object);

  switch (id)
    {
    case PROP_TEXT:
      g_value_set_string (value, ms_session_get_text (self));
      break;
    case PROP_HOVER:
      g_value_set_pointer (value, &self->hover);
      break;
    case PROP_PRIMARY:
      g_value_set_int64 (value, self->primary);
      break;
    case PROP_CAN_GO_BACK:
      g_value_set_boolean (value, self->at > 0);
      break;
    case PROP_CAN_GO_FORWARD:
      g_value_set_boolean (value, self->at + 1 < self->texts->len);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
finalize (GObject *object)
{
  MsSession *self = MS_SESSION (object);

  g_clear_pointer (&self->texts, g_ptr_array_unref);
  g_clear_pointer (&self->selection, ms_selection_free);
  G_OBJECT_CLASS (ms_session_parent_class)->finalize (object);
}

static void
ms_session_class_init (MsSessionClass *class)
{
  GObjectClass *object_class = G_OBJECT_CLASS (class);
  GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = get_property;
  object_class->finalize = finalize;
  props[PROP_TEXT] = g_param_spec_string ("text", NULL, NULL, "", flags);
  props[PROP_HOVER] = g_param_spec_pointer ("hover", NULL, NULL, flags);
  props[PROP_PRIMARY] = g_param_spec_int64 ("primary", NULL, NULL, -1, G_MAXINT64, -1, flags);
  props[PROP_CAN_GO_BACK] = g_param_spec_boolean ("can-go-back", NULL, NULL, FALSE, flags);
  props[PROP_CAN_GO_FORWARD] = g_param_spec_boolean ("can-go-forward", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
ms_session_init (MsSession *self)
{
  self->texts = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (self->texts, g_strdup (""));
  self->selection = ms_selection_new ();
  self->hover = (MsPlace){ -1, -1, -1, 0 };
  self->primary = -1;
}

MsSession *
ms_session_new (void)
{
  return g_object_new (MS_TYPE_SESSION, NULL);
}

static void
notify_selection (MsSession *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TEXT]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CAN_GO_BACK]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_CAN_GO_FORWARD]);
}

const char *
ms_session_get_text (MsSession *self)
{
  return g_ptr_array_index (self->texts, self->at);
}

const MsSelection *
ms_session_get_selection (MsSession *self)
{
  return self->selection;
}

void
ms_session_take (MsSession *self, MsSelection *selection)
{
  g_autofree char *text = ms_selection_format (selection);

  ms_selection_free (self->selection);
  self->selection = selection;
  if (strcmp (text, ms_session_get_text (self)) == 0)
    return;
  g_ptr_array_set_size (self->texts, (int) self->at + 1);
  g_ptr_array_add (self->texts, g_steal_pointer (&text));
  self->at++;
  notify_selection (self);
}

gboolean
ms_session_set_text (MsSession *self, const char *text, GError **error)
{
  MsSelection *selection = ms_selection_parse (text, error);

  if (selection == NULL)
    return FALSE;
  ms_session_take (self, selection);
  return TRUE;
}

MsSelection *
ms_session_copy_filter (MsSession *self)
{
  MsSelection *filter = ms_selection_copy (self->selection);

  filter->run = filter->base = 0;
  g_clear_pointer (&filter->with, g_array_unref);
  g_clear_pointer (&filter->layers, g_array_unref);
  g_clear_pointer (&filter->experts, g_array_unref);
  return filter;
}

char *
ms_session_dup_filter (MsSession *self)
{
  g_autoptr (MsSelection) filter = ms_session_copy_filter (self);

  return ms_selection_format (filter);
}

MsSelection *
ms_session_copy_for (MsSession *self, const MsAnalysis *analysis)
{
  MsSelection *part = ms_selection_copy (self->selection);

  if (analysis->needs & MS_NEEDS_SERIES)
    {
      if (part->base > 0 && part->with != NULL)
        ms_selection_show_run (part, part->base, TRUE);
    }
  else if (!ms_analysis_takes_runs (analysis))
    g_clear_pointer (&part->with, g_array_unref);
  part->run = part->base = 0;
  return part;
}

gboolean
ms_session_go (MsSession *self, int step)
{
  gint64 to = (gint64) self->at + step;
  MsSelection *selection;

  if (step == 0 || to < 0 || to >= self->texts->len)
    return FALSE;
  selection = ms_selection_parse (g_ptr_array_index (self->texts, (guint) to), NULL);
  g_return_val_if_fail (selection != NULL, FALSE);
  ms_selection_free (self->selection);
  self->selection = selection;
  self->at = (guint) to;
  notify_selection (self);
  return TRUE;
}

void
ms_session_reset (MsSession *self)
{
  g_ptr_array_set_size (self->texts, 0);
  g_ptr_array_add (self->texts, g_strdup (""));
  self->at = 0;
  ms_selection_free (self->selection);
  self->selection = ms_selection_new ();
  self->primary = -1;
  self->hover = (MsPlace){ -1, -1, -1, 0 };
  notify_selection (self);
}

void
ms_session_set_run (MsSession *self, gint64 run)
{
  MsSelection *selection = ms_selection_copy (self->selection);

  if (ms_session_shows_run (self, run))
    {
      ms_selection_show_run (selection, run, FALSE);
      if (selection->run > 0)
        ms_selection_show_run (selection, selection->run, TRUE);
    }
  selection->run = run;
  if (selection->base == run)
    selection->base = 0;
  ms_session_take (self, selection);
}

gboolean
ms_session_shows_run (MsSession *self, gint64 run)
{
  return self->selection->with != NULL && ms_ranges_include (self->selection->with, run);
}

gboolean
ms_session_show_run (MsSession *self, gint64 main, gint64 run, gboolean shown, GError **error)
{
  g_autoptr (MsSelection) selection = ms_selection_copy (self->selection);
  g_autofree gint64 *runs = NULL;
  guint n;

  /* Said by its number, so that a newer run does not take its place. */
  selection->run = main;
  ms_selection_show_run (selection, run, shown);
  if (!ms_selection_list_with (selection, main, &runs, &n, error))
    return FALSE;
  ms_session_take (self, g_steal_pointer (&selection));
  return TRUE;
}

void
ms_session_set_base (MsSession *self, gint64 run)
{
  MsSelection *selection = ms_selection_copy (self->selection);

  selection->base = run;
  ms_session_take (self, selection);
}

static int
compare_ranges (gconstpointer a, gconstpointer b)
{
  const MsRange *left = a, *right = b;

  return (left->first > right->first) - (left->first < right->first);
}

/* Sorts and joins what touches. */
static void
tidy_ranges (GArray *ranges)
{
  guint n = 0;

  g_array_sort (ranges, compare_ranges);
  for (guint i = 0; i < ranges->len; i++)
    {
      MsRange range = g_array_index (ranges, MsRange, i);

      if (n > 0 && range.first <= g_array_index (ranges, MsRange, n - 1).last + 1)
        {
          MsRange *before = &g_array_index (ranges, MsRange, n - 1);

          before->last = MAX (before->last, range.last);
        }
      else
        g_array_index (ranges, MsRange, n++) = range;
    }
  g_array_set_size (ranges, n);
}

static void
brush_ranges (GArray **ranges, MsBrush mode, const GArray *values)
{
  if (values == NULL || values->len == 0)
    return;
  if (*ranges == NULL || mode == MS_BRUSH_REPLACE)
    {
      g_clear_pointer (ranges, g_array_unref);
      *ranges = g_array_new (FALSE, FALSE, sizeof (MsRange));
    }
  for (guint i = 0; i < values->len; i++)
    {
      gint64 value = g_array_index (values, gint64, i);
      MsRange range = { value, value };

      g_array_append_val (*ranges, range);
    }
  tidy_ranges (*ranges);
  if (mode == MS_BRUSH_EXTEND)
    {
      MsRange hull = g_array_index (*ranges, MsRange, 0);

      hull.last = g_array_index (*ranges, MsRange, (*ranges)->len - 1).last;
      g_array_set_size (*ranges, 1);
      g_array_index (*ranges, MsRange, 0) = hull;
    }
}

void
ms_session_brush (MsSession *self, MsBrush mode, GArray *layers, GArray *experts)
{
  MsSelection *selection = ms_selection_copy (self->selection);

  brush_ranges (&selection->layers, mode, layers);
  brush_ranges (&selection->experts, mode, experts);
  ms_session_take (self, selection);
}

/* Cuts the text form at its spaces outside of quotes. */
static GPtrArray *
cut_parts (const char *text)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func (g_free);
  const char *start = text;
  gboolean quoted = FALSE;

  for (const char *at = text;; at++)
    {
      if (*at == '"')
        quoted = !quoted;
      if (*at == '\0' || (*at == ' ' && !quoted))
        {
          if (at > start)
            g_ptr_array_add (parts, g_strndup (start, (gsize) (at - start)));
          start = at + 1;
        }
      if (*at == '\0')
        return parts;
    }
}

/* Whether a part of the text form says which runs to look at, not what of them. */
static gboolean
names_runs (const char *part)
{
  return g_str_has_prefix (part, "run=") || g_str_has_prefix (part, "base=")
         || g_str_has_prefix (part, "with=");
}

/* Whether one of the parts has the key of `part`. */
static gboolean
has_key (const GPtrArray *parts, const char *part)
{
  gsize length = strcspn (part, "=") + 1;

  for (guint i = 0; i < parts->len; i++)
    if (strncmp (g_ptr_array_index (parts, i), part, length) == 0)
      return TRUE;
  return FALSE;
}

gboolean
ms_session_jump (MsSession *self, const char *place, GError **error)
{
  g_autoptr (GPtrArray) now = cut_parts (ms_session_get_text (self)), to = cut_parts (place);
  g_autoptr (GString) text = g_string_new (place);
  MsSelection *there;

  for (guint i = 0; i < now->len; i++)
    {
      const char *part = g_ptr_array_index (now, i);

      if (!g_str_has_prefix (part, "layer=") && !g_str_has_prefix (part, "expert=")
          && !has_key (to, part))
        g_string_append_printf (text, " %s", part);
    }
  there = ms_selection_parse (text->str, error);
  if (there == NULL)
    return FALSE;
  ms_session_take (self, there);
  return TRUE;
}

GStrv
ms_session_list_parts (MsSession *self)
{
  GPtrArray *parts = cut_parts (ms_session_get_text (self));

  for (guint i = parts->len; i > 0; i--)
    {
      const char *part = g_ptr_array_index (parts, i - 1);

      if (names_runs (part))
        g_ptr_array_remove_index (parts, i - 1);
    }
  g_ptr_array_add (parts, NULL);
  return (GStrv) g_ptr_array_free (parts, FALSE);
}

void
ms_session_clear (MsSession *self, const char *key)
{
  g_autoptr (GPtrArray) parts = cut_parts (ms_session_get_text (self));
  g_autoptr (GString) rest = g_string_new (NULL);
  g_autofree char *prefix = key ? g_strconcat (key, "=", NULL) : NULL;

  for (guint i = 0; i < parts->len; i++)
    {
      const char *part = g_ptr_array_index (parts, i);
      gboolean keep = prefix ? !g_str_has_prefix (part, prefix) : names_runs (part);

      if (keep)
        g_string_append_printf (rest, "%s%s", rest->len > 0 ? " " : "", part);
    }
  ms_session_set_text (self, rest->str, NULL);
}

gboolean
ms_session_has_brush (MsSession *self)
{
  return self->selection->layers != NULL || self->selection->experts != NULL;
}

gboolean
ms_session_brushes (MsSession *self, int layer, int expert)
{
  const MsSelection *selection = self->selection;
  gboolean by_layer = layer >= 0 && selection->layers != NULL;
  gboolean by_expert = expert >= 0 && selection->experts != NULL;

  return (by_layer || by_expert) && (!by_layer || ms_ranges_include (selection->layers, layer))
         && (!by_expert || ms_ranges_include (selection->experts, expert));
}

const MsPlace *
ms_session_get_hover (MsSession *self)
{
  return &self->hover;
}

void
ms_session_set_hover (MsSession *self, gint64 run, int layer, int expert, gint64 token)
{
  const MsPlace *now = &self->hover;

  if (now->layer == layer && now->expert == expert && now->token == token && now->run == run)
    return;
  self->hover = (MsPlace){ layer, expert, token, run };
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_HOVER]);
}

gint64
ms_session_get_primary (MsSession *self)
{
  return self->primary;
}

void
ms_session_set_primary (MsSession *self, gint64 token)
{
  if (self->primary == token)
    return;
  self->primary = token;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PRIMARY]);
}
