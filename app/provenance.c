/* Provenance as JSON; see provenance.h. */
#include "provenance.h"

#include <cairo.h>
#include <math.h>
#include <pango/pango.h>
#include <string.h>

char *
ms_file_hash (const char *path, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) stream = g_file_read (file, NULL, error);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *buffer = g_malloc (1 << 20);
  gssize n;

  if (stream == NULL)
    return NULL;
  while ((n = g_input_stream_read (G_INPUT_STREAM (stream), buffer, 1 << 20, NULL, error)) > 0)
    g_checksum_update (sum, buffer, n);
  return n < 0 ? NULL : g_strdup (g_checksum_get_string (sum));
}

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

static void
begin (JsonBuilder *json, const char *name)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_object (json);
}

static void
add_trace (JsonBuilder *json, MsTrace *trace)
{
  const MsRun *run = ms_trace_run (trace);
  const MsModel *model = ms_trace_model (trace);
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));

  begin (json, "run");
  ms_json_add_int (json, "id", run->id);
  ms_json_add_text (json, "name", run->name);
  ms_json_add_text (json, "started", run->started);
  ms_json_add_text (json, "finished", run->finished);
  ms_json_add_text (json, "precision", run->precision);
  ms_json_add_text (json, "collector", run->collector);
  ms_json_add_text (json, "command", run->command);
  ms_json_add_int (json, "tokens", run->n_tokens);
  json_builder_end_object (json);
  begin (json, "model");
  ms_json_add_text (json, "name", model->name);
  ms_json_add_text (json, "architecture", model->architecture);
  ms_json_add_text (json, "fingerprint", model->fingerprint);
  ms_json_add_text (json, "router", model->router);
  json_builder_end_object (json);
  begin (json, "selection");
  ms_json_add_text (json, "text", selection);
  ms_json_add_int (json, "layers", ms_trace_n_layers (trace));
  ms_json_add_int (json, "documents", ms_trace_n_documents (trace));
  ms_json_add_int (json, "tokens", ms_trace_n_tokens (trace));
  json_builder_end_object (json);
}

static void
add_traces (JsonBuilder *json, const char *name, GPtrArray *traces)
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
  for (guint i = 0; i < traces->len; i++)
    {
      json_builder_begin_object (json);
      ms_json_add_text (json, "file", ms_trace_path (traces->pdata[i]));
      add_trace (json, traces->pdata[i]);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

void
ms_provenance_add (JsonBuilder *json, const MsJob *job, const char *hash)
{
  ms_json_add_text (json, "moescope", MS_VERSION);
  ms_json_add_text (json, "command", ms_command_line ());
  begin (json, "database");
  ms_json_add_text (json, "file", job->trace != NULL ? job->path : NULL);
  ms_json_add_text (json, "sha256", hash);
  json_builder_end_object (json);
  if (job->trace != NULL)
    add_trace (json, job->trace);
  add_traces (json, "with", job->with_traces);
  add_traces (json, "others", job->other_traces);
  ms_json_add_text (json, "by", job->by);
  ms_json_add_int (json, "seed", job->seed);
  ms_json_add_int (json, "bootstrap", job->bootstrap);
  ms_json_add_real (json, "confidence", job->confidence);
  begin (json, "libraries");
  ms_json_add_text (json, "sqlite", sqlite3_libversion ());
  ms_json_add_text (json, "cairo", cairo_version_string ());
  ms_json_add_text (json, "pango", pango_version_string ());
  json_builder_end_object (json);
}

char *
ms_json_text (JsonBuilder *json)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = json_builder_get_root (json);
  g_autofree char *text = NULL;

  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, TRUE);
  text = json_generator_to_data (generator, NULL);
  return g_strconcat (text, "\n", NULL);
}
