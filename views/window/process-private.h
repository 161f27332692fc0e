/* The command line program as a job: a crash or a kill of either program leaves the other alone. */
#pragma once

#include "workbench-private.h"

G_BEGIN_DECLS

/* The program beside this one when there is one (a build folder), else of the path. (transfer full) */
char *ms_process_program (void);
/* Runs argv (transfer full), whose first word is ms_process_program().  done() gets a copy of output, the
 * file it makes; a failure says what the program said last and stays in the job list.  Stopping it is
 * SIGINT.  Lines of JSON that `--progress-json` writes are its progress. */
void ms_process_start (MsWorkbench *bench, const char *title, GStrv argv, const char *output,
                       MsWorkDone done, GObject *owner);
/* Tells that a file is ready where nobody looks at the window. */
void ms_process_notify (const char *title, const char *path);

G_END_DECLS
