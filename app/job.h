/* What `analyze`, `plot` and `report` share: the options that choose a run and how to compute, the
 * parameters of one analysis as options, and the traces that are then opened. */
#pragma once

#include "analysis.h"
#include "command.h"

G_BEGIN_DECLS

typedef struct
{
  const MsCommand *command;
  /* The options. */
  gint64 run; /* 0 = newest */
  char *select, *by;
  char **others;
  int threads;
  MsSampling sampling;
  char *cluster; /* label of documents that go together, NULL = as they are */
  /* What they lead to. */
  const MsAnalysis *analysis;
  char *path; /* of the file; "-" = none */
  MsValues *values;
  GPtrArray *other_traces; /* of MsTrace */
  GPtrArray *with_traces;  /* of MsTrace: runs shown beside it */
  MsTrace *trace;          /* NULL without a file */
  MsContext context;       /* complete after ms_job_open */
} MsJob;

void ms_job_init (MsJob *job, const MsCommand *command);
void ms_job_clear (MsJob *job);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsJob, ms_job_clear)

/* Appends the options --run, --select, --other, --threads, --seed, --bootstrap, --confidence and --cluster, and
 * with `by` also --by. */
void ms_job_add_entries (MsJob *job, GArray *entries, gboolean by);
/* Checks their values: a message (static), NULL when all are right. */
const char *ms_job_check (const MsJob *job);

/* Parses a command line FILE NAME [OPTION...]: `own` are the command's options (ending with an empty
 * one), to which those of the job and the parameters of the analysis are added.  `help` is called for
 * "NAME --help".  job->analysis stays NULL when no name is given (*argc then tells what is).  FALSE
 * when the command ends here, with *status. */
gboolean ms_job_parse (MsJob *job, const GOptionEntry *own, int *argc, char ***argv,
                       MsExit (*help) (const MsAnalysis *analysis), MsExit *status);
/* Opens the file and the others and fills job->context.  FALSE with *status. */
gboolean ms_job_open (MsJob *job, MsExit *status);
/* Runs the analysis, by groups when asked for; NULL with *status. */
MsResult *ms_job_run (MsJob *job, MsExit *status);

G_END_DECLS
