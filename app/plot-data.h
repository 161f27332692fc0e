/* The numbers of a figure beside it. */
#pragma once

#include "figure.h"
#include "provenance.h"

G_BEGIN_DECLS

/* Writes, with the figure's name and endings of their own: .csv, the plot's whole table; .dat, for
 * PGFPlots, the columns and rows that the plot draws; .json, how the figure was made. */
gboolean ms_plot_data_write (MsJob *job, const MsResult *result, MsFigure *figure,
                             const char *figure_path, const char *interval, GError **error);

G_END_DECLS
