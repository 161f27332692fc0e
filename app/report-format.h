/* The formats of a report.  A format is a constant struct and a row of the table in report-command.c. */
#pragma once

#include "report-content.h"

G_BEGIN_DECLS

/* Where the report goes to. */
typedef struct
{
  const char *path;
  double width, height; /* of a page, inches */
} MsReportTarget;

typedef struct
{
  const char *const *endings; /* of the file's name, in lower case; NULL-terminated */
  GBytes *(*write) (const MsReport *report, const MsReportTarget *target, GError **error);
} MsReportFormat;

/* One file that needs nothing beside it: inline SVG, no script, light and dark, prints. */
extern const MsReportFormat ms_report_format_html;
/* Markdown; its figures go as SVG into a folder beside it, linked relative to it. */
extern const MsReportFormat ms_report_format_markdown;
/* Pages of the target's size with outline, links and page numbers. */
extern const MsReportFormat ms_report_format_pdf;
/* Everything for machines. */
extern const MsReportFormat ms_report_format_json;

G_END_DECLS
