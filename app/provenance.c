/* Provenance as JSON.  What is told must be enough to make the same numbers again: the file by its hash, the
 * run, the selection, what draws at random, and the libraries that draw and store. */
#include "provenance.h"

#include <cairo.h>
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

static void
add_trace (JsonBuilder *json, MsTrace *trace)
{
  const MsRun *run = ms_trace_run (trace);
  const MsModel *model = ms_trace_model (trace);
  g_autofree char *router = ms_model_describe_router (model);
  g_autofree char *selection = ms_selection_format (ms_trace_selection (trace));

  ms_json_begin_object (json, "run");
  ms_json_add_int (json, "id", run->id);
  ms_json_add_text (json, "name", run->name);
  ms_json_add_text (json, "started", run->started);
  ms_json_add_text (json, "finished", run->finished);
  ms_json_add_text (json, "precision", run->precision);
  ms_json_add_text (json, "collector", run->collector);
  ms_json_add_text (json, "command", run->command);
  ms_json_add_int (json, "tokens", run->n_tokens);
  json_builder_end_object (json);
  ms_json_begin_object (json, "model");
  ms_json_add_text (json, "name", model->name);
  ms_json_add_text (json, "architecture", model->architecture);
  ms_json_add_text (json, "fingerprint", model->fingerprint);
  ms_json_add_text (json, "router", router);
  json_builder_end_object (json);
  ms_json_begin_object (json, "selection");
  ms_json_add_text (json, "text", selection);
  ms_json_add_int (json, "layers", ms_trace_n_layers (trace));
  ms_json_add_int (json, "documents", ms_trace_n_documents (trace));
  ms_json_add_int (json, "tokens", ms_trace_n_tokens (trace));
  json_builder_end_object (json);
}

static void
add_traces (JsonBuilder *json, const char *name, GPtrArray *traces)
{
  ms_json_begin_array (json, name);
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
  ms_json_begin_object (json, "database");
  ms_json_add_text (json, "file", job->trace != NULL ? job->path : NULL);
  ms_json_add_text (json, "sha256", hash);
  json_builder_end_object (json);
  if (job->trace != NULL)
    add_trace (json, job->trace);
  add_traces (json, "with", job->with_traces);
  add_traces (json, "others", job->other_traces);
  ms_json_add_text (json, "by", job->by);
  ms_json_add_int (json, "seed", (gint64) job->sampling.seed);
  ms_json_add_int (json, "bootstrap", job->sampling.resamples);
  ms_json_add_real (json, "confidence", job->sampling.confidence);
  ms_json_add_text (json, "cluster", job->cluster);
  ms_json_begin_object (json, "libraries");
  ms_json_add_text (json, "sqlite", sqlite3_libversion ());
  ms_json_add_text (json, "cairo", cairo_version_string ());
  ms_json_add_text (json, "pango", pango_version_string ());
  json_builder_end_object (json);
}
