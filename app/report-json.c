/* The report for machines: the same numbers, exactly. */
#include "provenance.h"
#include "report-format.h"

#include <string.h>

static void
add_check (JsonBuilder *json, const MsReport *report)
{
  ms_json_begin_object (json, "check");
  ms_json_add_int (json, "faults", report->n_bad);
  ms_json_add_texts (json, "found", report->checks);
  json_builder_end_object (json);
}

static void
add_headlines (JsonBuilder *json, const MsReport *report)
{
  ms_json_begin_array (json, "headlines");
  for (const MsHeadlineDef *def = ms_headlines (); def->name != NULL; def++)
    {
      g_autoptr (MsHeadline) headline = NULL;

      if (ms_report_headline (report, def, &headline) == NULL || headline == NULL)
        continue;
      json_builder_begin_object (json);
      ms_json_add_text (json, "name", def->name);
      ms_json_add_text (json, "analysis", def->analysis);
      ms_json_add_real (json, "value", headline->value);
      ms_json_add_text (json, "number", headline->number);
      ms_json_add_text (json, "unit", headline->unit);
      ms_json_add_text (json, "text", headline->text);
      ms_json_add_text (json, "place", headline->place);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

static void
add_findings (JsonBuilder *json, const MsReport *report)
{
  ms_json_begin_array (json, "findings");
  for (guint i = 0; i < report->findings->len; i++)
    {
      const MsReportFinding *f = &g_array_index (report->findings, MsReportFinding, i);

      json_builder_begin_object (json);
      ms_json_add_text (json, "analysis", f->section->analysis->name);
      ms_json_add_text (json, "section", f->section->id);
      ms_json_add_text (json, "text", f->finding->text);
      ms_json_add_text (json, "place", f->finding->place);
      ms_json_add_real (json, "strength", f->finding->strength);
      ms_json_add_text (json, "strength_unit",
                        f->section->analysis->times ? "times" : "standard errors");
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

static void
add_missing (JsonBuilder *json, const MsReport *report)
{
  ms_json_begin_array (json, "missing");
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];

      if (section->reason == NULL)
        continue;
      json_builder_begin_object (json);
      ms_json_add_text (json, "analysis", section->analysis->name);
      ms_json_add_text (json, "reason", section->reason);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

static GBytes *
write_json (const MsReport *report, const MsReportTarget *target, GError **error)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  const MsJob *job = report->job;
  g_autofree char *text = NULL;
  const char *separator = "";
  GString *out;

  (void) target, (void) error;
  json_builder_begin_object (json);
  ms_json_add_text (json, "title", report->title);
  ms_provenance_add (json, job, report->hash);
  ms_json_add_text (json, "interval", report->interval);
  add_check (json, report);
  add_headlines (json, report);
  add_findings (json, report);
  add_missing (json, report);
  json_builder_end_object (json);
  text = ms_json_text (json);
  /* The sections go in as they are: their numbers are exact, infinities included. */
  out = g_string_new_len (text, strrchr (text, '}') - text);
  g_string_append (out, ",\n  \"sections\" : [\n");
  for (guint i = 0; i < report->sections->len; i++)
    {
      const MsSection *section = report->sections->pdata[i];
      MsContext context = section->own != NULL ? section->own->context : job->context;
      g_autofree char *result = NULL;

      if (section->result == NULL)
        continue;
      if (section->own == NULL)
        context.values = section->values;
      result = ms_result_to_json (section->result, &context);
      /* Findings name their section; the name goes in front of what the result says of itself. */
      g_string_append_printf (out, "%s{\"section\": \"%s\",\n %s", separator, section->id,
                              g_strchomp (result) + 1);
      separator = ",\n";
    }
  g_string_append (out, "\n  ]\n}\n");
  return g_string_free_to_bytes (out);
}

const MsReportFormat ms_report_format_json = {
  .endings = (const char *const[]){ ".json", NULL },
  .write = write_json,
};
