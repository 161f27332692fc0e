/* JSON through json-glib.  A number that JSON cannot hold, NaN or an infinity, is null: never 0 and never text. */
#include "json.h"

#include "base.h"

#include <math.h>

void
ms_json_add_text (JsonBuilder *json, const char *name, const char *text)
{
  json_builder_set_member_name (json, name);
  if (text != NULL)
    json_builder_add_string_value (json, text);
  else
    json_builder_add_null_value (json);
}

void
ms_json_add_int (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

void
ms_json_add_real (JsonBuilder *json, const char *name, double value)
{
  json_builder_set_member_name (json, name);
  if (isfinite (value))
    json_builder_add_double_value (json, value);
  else
    json_builder_add_null_value (json);
}

void
ms_json_add_bool (JsonBuilder *json, const char *name, gboolean value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_boolean_value (json, value);
}

void
ms_json_add_texts (JsonBuilder *json, const char *name, const GPtrArray *texts)
{
  ms_json_begin_array (json, name);
  for (guint i = 0; texts != NULL && i < texts->len; i++)
    json_builder_add_string_value (json, texts->pdata[i]);
  json_builder_end_array (json);
}

void
ms_json_begin_object (JsonBuilder *json, const char *name)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_object (json);
}

void
ms_json_begin_array (JsonBuilder *json, const char *name)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
}

static char *
make_text (JsonBuilder *json, gboolean pretty)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = json_builder_get_root (json);
  g_autofree char *text = NULL, *safe = NULL;

  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, pretty);
  text = json_generator_to_data (generator, NULL);
  safe = ms_text_safe_json (text);
  return g_strconcat (safe, "\n", NULL);
}

char *
ms_json_text (JsonBuilder *json)
{
  return make_text (json, TRUE);
}

char *
ms_json_line (JsonBuilder *json)
{
  return make_text (json, FALSE);
}
