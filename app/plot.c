/* moescope plot: runs one analysis and draws one of its plots, with the numbers beside it on request. */
#include "plot-data.h"

#include <stdio.h>
#include <string.h>

typedef struct
{
  char *output, *plot, *width, *height, *theme, *title, *panel, *palette, *font, *caption;
  double font_size, dpi;
  gboolean data, list, no_margins;
} Options;

static void
clear_options (Options *options)
{
  g_free (options->output);
  g_free (options->plot);
  g_free (options->width);
  g_free (options->height);
  g_free (options->theme);
  g_free (options->title);
  g_free (options->panel);
  g_free (options->palette);
  g_free (options->font);
  g_free (options->caption);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, clear_options)

static MsExit
list_plots (const MsAnalysis *only)
{
  const MsAnalysis *const *all = ms_analyses ();

  for (guint i = 0; all[i] != NULL; i++)
    for (const MsPlotDef *plot = all[i]->plots; plot != NULL && plot->name != NULL; plot++)
      if (only == NULL)
        printf ("%-18s %-20s %s\n", all[i]->name, plot->name, plot->title);
      else if (only == all[i])
        printf ("%-20s %s\n", plot->name, plot->title);
  return MS_EXIT_FINE;
}

static MsExit
help (const MsAnalysis *analysis)
{
  printf (
      "Usage: moescope plot RUN.db %s -o FILE.{pdf,svg,png} [OPTION...]\n\nPlots (--plot NAME):\n",
      analysis->name);
  for (const MsPlotDef *plot = analysis->plots; plot != NULL && plot->name != NULL; plot++)
    printf ("  %-20s %s\n", plot->name, plot->title);
  printf ("\n`moescope analyze %s --help` explains the analysis and its parameters,\n"
          "`moescope plot --help` the options.\n",
          analysis->name);
  return MS_EXIT_FINE;
}

/* "3.25in", "82mm", "8.2cm", "234pt", "312px" or plain inches; FALSE when it is no sensible size. */
static gboolean
parse_length (const char *text, double *inches)
{
  static const struct
  {
    const char *name;
    double inches;
  } units[] = { { "", 1 },          { "in", 1 },        { "cm", 1 / 2.54 },
                { "mm", 1 / 25.4 }, { "pt", 1 / 72.0 }, { "px", 1 / 96.0 } };
  char *end;
  double value = g_ascii_strtod (text, &end);

  if (end == text)
    return FALSE;
  while (*end == ' ')
    end++;
  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    if (strcmp (end, units[i].name) == 0)
      {
        *inches = value * units[i].inches;
        return *inches >= 0.5 && *inches <= 100;
      }
  return FALSE;
}

/* The caption for LaTeX, with a label of the analysis's and the plot's name. */
static gboolean
write_caption (const Options *options, const MsAnalysis *analysis, MsFigure *figure, double width,
               double height, GError **error)
{
  static const struct
  {
    char plain;
    const char *latex;
  } marks[] = { { '\\', "\\textbackslash{}" },
                { '~', "\\textasciitilde{}" },
                { '^', "\\textasciicircum{}" },
                { '&', "\\&" },
                { '%', "\\%" },
                { '$', "\\$" },
                { '#', "\\#" },
                { '_', "\\_" },
                { '{', "\\{" },
                { '}', "\\}" } };
  g_autofree char *text = ms_figure_caption (figure, width * 96, height * 96);
  g_autoptr (GString) out = g_string_new ("\\caption{");

  for (const char *c = text; *c != '\0'; c++)
    {
      const char *latex = NULL;

      for (guint i = 0; i < G_N_ELEMENTS (marks) && latex == NULL; i++)
        latex = marks[i].plain == *c ? marks[i].latex : NULL;
      if (latex != NULL)
        g_string_append (out, latex);
      else
        g_string_append_c (out, *c);
    }
  g_string_append_printf (out, "}\n\\label{fig:%s-%s}\n", analysis->name,
                          ms_figure_plot (figure)->name);
  return ms_command_write (options->caption, out->str, out->len, error);
}

static MsExit
draw (MsJob *job, const Options *options, const MsPlotDef *plot, const MsFigureOptions *look,
      double width, double height)
{
  g_autoptr (MsResult) result = NULL;
  g_autoptr (MsFigure) figure = NULL;
  g_autofree char *interval = NULL, *note = NULL, *comment = NULL;
  MsFigureOptions complete = *look;
  MsTable *table;
  GError *error = NULL;
  MsExit status;

  if (!ms_job_open (job, &status) || (result = ms_job_run (job, &status)) == NULL)
    return status;
  table = ms_result_table (result, plot->table);
  if (table == NULL || ms_table_n_rows (table) == 0)
    return ms_command_fail (
        job->command,
        g_error_new (
            MS_FIGURE_ERROR, MS_FIGURE_ERROR_DATA,
            "%s: there is nothing to draw in table '%s'; widen --select, change the analysis' "
            "parameters or choose another plot",
            job->path, plot->table));
  interval = ms_interval_name (&job->context);
  note = ms_plot_note (plot, table, interval);
  complete.note = note;
  figure = ms_figure_new (table, plot, &complete, &error);
  comment = g_strdup_printf ("moescope %s: %s", MS_VERSION, ms_command_line ());
  if (figure == NULL
      || !ms_figure_save (figure, options->output, width, height, options->dpi, comment, &error)
      || (options->caption != NULL
          && !write_caption (options, job->analysis, figure, width, height, &error))
      || (options->data
          && !ms_plot_data_write (job, result, figure, options->output, note, &error)))
    return ms_command_fail (job->command, error);
  return MS_EXIT_FINE;
}

static MsExit
run (int argc, char **argv)
{
  g_auto (Options) options = { .dpi = 300 };
  g_auto (MsJob) job = { 0 };
  const GOptionEntry own[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "The figure: its ending, .pdf, .svg or .png, is the format", "FILE" },
    { "plot", 0, 0, G_OPTION_ARG_STRING, &options.plot,
      "Which plot of the analysis (default: the first)", "NAME" },
    { "list", 0, 0, G_OPTION_ARG_NONE, &options.list, "List the plots", NULL },
    { "width", 0, 0, G_OPTION_ARG_STRING, &options.width,
      "Width with unit in, cm, mm, pt or px (default 3.25in on paper, else 6.75in)", "LENGTH" },
    { "height", 0, 0, G_OPTION_ARG_STRING, &options.height,
      "Height (default: what suits the content)", "LENGTH" },
    { "theme", 0, 0, G_OPTION_ARG_STRING, &options.theme,
      "paper, screen, dark or contrast (default: paper for PDF and SVG, screen for PNG)", "NAME" },
    { "palette", 0, 0, G_OPTION_ARG_STRING, &options.palette,
      "Colours of values without a middle: viridis or cividis", "NAME" },
    { "font-size", 0, 0, G_OPTION_ARG_DOUBLE, &options.font_size,
      "Size of labels (default: the theme's)", "POINTS" },
    { "font", 0, 0, G_OPTION_ARG_STRING, &options.font,
      "Font of the text (default on paper: a Times-like one that is installed)", "FAMILY" },
    { "caption", 0, 0, G_OPTION_ARG_FILENAME, &options.caption,
      "Write title and notes as a LaTeX caption with a label, and leave them out of the figure",
      "FILE.tex" },
    { "title", 0, 0, G_OPTION_ARG_STRING, &options.title,
      "Title inside the figure; \"\" for none, \"auto\" for the plot's own", "TEXT" },
    { "no-margins", 0, 0, G_OPTION_ARG_NONE, &options.no_margins, "Leave out the bars beside a map",
      NULL },
    { "panel", 0, 0, G_OPTION_ARG_STRING, &options.panel, "Panel letter", "LETTER" },
    { "dpi", 0, 0, G_OPTION_ARG_DOUBLE, &options.dpi, "Resolution of PNG (default 300)", "DPI" },
    { "data", 0, 0, G_OPTION_ARG_NONE, &options.data,
      "Beside the figure also write .csv (exact numbers), .dat (for PGFPlots) and .json (how to "
      "make "
      "it again)",
      NULL },
    { 0 },
  };
  const MsPlotDef *plot;
  const char *theme_name;
  double width = 0, height = 0;
  gboolean png;
  MsTheme theme;
  MsExit status;

  ms_job_init (&job, &ms_command_plot);
  if (!ms_job_parse (&job, own, &argc, &argv, help, &status))
    return status;
  if (options.list)
    return list_plots (job.analysis);
  if (job.analysis == NULL || job.path == NULL)
    return ms_command_misuse (&ms_command_plot, "give a file and the name of an analysis");
  if (options.output == NULL)
    return ms_command_misuse (&ms_command_plot,
                              "-o FILE is needed, with ending .pdf, .svg or .png");
  plot = ms_analysis_plot (job.analysis, options.plot);
  if (plot == NULL && options.plot == NULL)
    return ms_command_misuse (&ms_command_plot, "%s has no plots", job.analysis->name);
  if (plot == NULL)
    return ms_command_misuse (&ms_command_plot, "%s has no plot '%s'; see moescope plot %s --help",
                              job.analysis->name, options.plot, job.analysis->name);
  png = g_str_has_suffix (options.output, ".png") || g_str_has_suffix (options.output, ".PNG");
  theme_name = options.theme != NULL ? options.theme : png ? "screen" : "paper";
  if (ms_theme_find (theme_name) == NULL)
    return ms_command_misuse (&ms_command_plot,
                              "--theme: choose one of paper, screen, dark, contrast");
  theme = *ms_theme_find (theme_name);
  if (options.palette != NULL && strcmp (options.palette, "viridis") != 0
      && strcmp (options.palette, "cividis") != 0)
    return ms_command_misuse (&ms_command_plot, "--palette: choose viridis or cividis");
  theme.cividis = g_strcmp0 (options.palette, "cividis") == 0;
  if (!parse_length (options.width != NULL               ? options.width
                     : strcmp (theme.name, "paper") == 0 ? "3.25in"
                                                         : "6.75in",
                     &width)
      || (options.height != NULL && !parse_length (options.height, &height)))
    return ms_command_misuse (
        &ms_command_plot, "--width and --height: a length such as 3.25in, 82mm or 600px, between "
                          "0.5 and 100 inches, is needed");
  if (options.font != NULL && !ms_font_is_installed (options.font))
    return ms_command_misuse (&ms_command_plot,
                              "--font: no font '%s' is installed (fc-list : family lists them)",
                              options.font);
  if (options.font_size != 0 && !(options.font_size >= 1 && options.font_size <= 100))
    return ms_command_misuse (&ms_command_plot, "--font-size: between 1 and 100 points");
  if (!(options.dpi >= 10 && options.dpi <= 2400))
    return ms_command_misuse (&ms_command_plot, "--dpi: between 10 and 2400");
  {
    gboolean automatic = g_strcmp0 (options.title, "auto") == 0;
    const MsFigureOptions look = { .theme = &theme,
                                   .title = automatic ? plot->title : options.title,
                                   .panel = options.panel,
                                   .font = options.font,
                                   .captioned = options.caption != NULL,
                                   .no_margins = options.no_margins,
                                   .font_points = options.font_size };

    return draw (&job, &options, plot, &look, width, height);
  }
}

const MsCommand ms_command_plot = {
  .name = "plot",
  .usage = "RUN.db NAME -o FILE.{pdf,svg,png} [--PARAMETER VALUE]... [OPTION...]",
  .summary = "Draw a plot of an analysis: PDF, SVG or PNG",
  .details
  = "NAME is an analysis; its parameters are options here as with `moescope analyze`.\n"
    "`moescope plot --list` lists all plots.  The same command makes the same bytes.\n"
    "Where a plot has more panels (layers) than a page holds, an evenly spread part is drawn\n"
    "and the figure says so; --select layer=0..15 chooses, --data writes the numbers of all.",
  .example = "moescope plot run.db load -o load.pdf --width 3.25in --data\n"
             "  moescope plot run.db load --plot map -o load.png --theme dark\n"
             "  moescope plot run.db load --plot max-vio --select \"run=3 with=1,2\" -o runs.pdf",
  .run = run,
};
