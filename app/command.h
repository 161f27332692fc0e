/* The commands of `moescope`: each is one file with one constant struct and a line in moescope.c. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Exit status of every command; one that SIGINT or SIGTERM stopped exits with 130 or 143, as from a shell. */
typedef enum
{
  MS_EXIT_FINE = 0,
  MS_EXIT_FAILED = 1,
  MS_EXIT_USAGE = 2,
} MsExit;

typedef struct
{
  const char *name;         /* "collect" */
  const char *usage;        /* "MODEL.gguf INPUT... -o RUN.db" */
  const char *summary;      /* one line for the list of commands */
  const char *details;      /* paragraphs below the options in --help, may be NULL */
  char *(*describe) (void); /* more of them, made from a list (transfer full); may be NULL */
  const char *example;      /* one or two command lines shown in --help */
  /* argv[0] is the command's name.  Results go to stdout, everything else to stderr. */
  MsExit (*run) (int argc, char **argv);
} MsCommand;

extern const MsCommand ms_command_analyze;
extern const MsCommand ms_command_check;
extern const MsCommand ms_command_collect;
extern const MsCommand ms_command_export;
extern const MsCommand ms_command_import;
extern const MsCommand ms_command_info;
extern const MsCommand ms_command_manual;
extern const MsCommand ms_command_plot;
extern const MsCommand ms_command_remove;
extern const MsCommand ms_command_report;
extern const MsCommand ms_command_sql;
extern const MsCommand ms_command_tokenize;
extern const MsCommand ms_command_train;

/* All of them in the order of the help; NULL-terminated. */
const MsCommand *const *ms_commands (void);

/* The paragraphs of --help: details and what describe makes; "" without any.  (transfer full) */
char *ms_command_details (const MsCommand *command);

/* Parses the options of `command`; what is left (positional arguments) stays in argv.  On --help prints
 * and exits with 0; on a wrong option says which on stderr and exits with 2.  entries end with an
 * empty one. */
void ms_command_parse (const MsCommand *command, const GOptionEntry *entries, int *argc,
                       char ***argv);
/* "moescope COMMAND: MESSAGE" on stderr; returns MS_EXIT_FAILED.  Takes error. */
MsExit ms_command_fail (const MsCommand *command, GError *error);
/* The same for wrong usage, with a hint at --help; returns MS_EXIT_USAGE. */
MsExit ms_command_misuse (const MsCommand *command, const char *format, ...) G_GNUC_PRINTF (2, 3);

typedef enum
{
  MS_STOP_AT_ONCE, /* nothing that is under way would be missed: the program ends within a second */
  MS_STOP_WHEN_KEPT, /* as soon as what was done is kept */
} MsStop;

/* A cancellable that the first Ctrl-C (SIGINT) or SIGTERM cancels; a second one ends the program. */
GCancellable *ms_command_cancellable (MsStop stop);
/* The command line as it was typed, quoted for a shell: for provenance. */
const char *ms_command_line (void);
/* Overwrites one line of stderr when it is a terminal; a log gets a line a minute.  NULL ends it. */
void ms_command_progress (const char *line);
/* Stdout for "-" or NULL, else `path` replaced atomically when the stream is closed.  Fails when the file is
 * a database, a model, or named elsewhere on the command line. */
GOutputStream *ms_command_output (const char *path, GError **error);
/* Writes all of it there; after a failure what was there before is still there. */
gboolean ms_command_write (const char *path, const char *data, gsize size, GError **error);

G_END_DECLS
