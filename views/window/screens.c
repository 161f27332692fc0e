/* The list of screens, in the order of the left pane, and the tabs of those that are made from tabs alone.
 * Every analysis, plot, parameter and value that a screen names must exist: a test walks this list. */
#include "window-private.h"

#include "analyses-screen-private.h"
#include "analysis-screen-private.h"
#include "cache-screen-private.h"
#include "compare-screen-private.h"
#include "experts-screen-private.h"
#include "languages-screen-private.h"
#include "overview-screen-private.h"
#include "sql-screen-private.h"
#include "text-screen-private.h"

static const MsTab consistency_tabs[] = {
  { .title = N_ ("Segments"), .analysis = "srp" },
  { .title = N_ ("Neighbours"), .analysis = "repetition" },
  { .title = N_ ("Stable Words"), .analysis = "vocabulary" },
  { NULL },
};

static const MsTab flow_tabs[] = {
  { .title = N_ ("Between Layers"),
    .analysis = "transitions",
    .plots = "flow dependence predictors lift" },
  { .title = N_ ("Chosen Together"), .analysis = "coactivation" },
  { NULL },
};

static const MsTab placement_tabs[] = {
  { .title = N_ ("Hot Set"), .analysis = "coverage" },
  /* Where tokens have to move least between layers, and what that costs in balance. */
  { .title = N_ ("Placement"),
    .analysis = "placement",
    .plots = "moves balance devices",
    .values = "method=joint" },
  /* How even the load of devices gets when busy experts have copies. */
  { .title = N_ ("Balancing"),
    .analysis = "placement",
    .plots = "balance devices",
    .params = "devices nodes groups replicas held-out draws alpha least-chunk lambda",
    .values = "method=eplb" },
  { .title = N_ ("Load Over Time"), .analysis = "load-windows" },
  { .title = N_ ("Calibration"), .analysis = "calibration" },
  { NULL },
};

const MsScreenInfo ms_screens[] = {
  { "overview", N_ ("Overview"), "view-app-grid-symbolic", "<Alt>1",
    N_ ("A sentence and a small figure for each of the main questions; click one to see more. "
        "Below is "
        "what stands out: click a finding to go where it is."),
    ms_overview_screen_new, NULL },
  { "experts", N_ ("Experts"), "view-grid-symbolic", "<Alt>2",
    N_ ("Each cell is one expert of one layer, coloured by its load, by how sure the router was, "
        "by what "
        "it specialises in, or by what changed against the baseline run. Drag to brush a "
        "rectangle, "
        "click a cell, add with Ctrl. The panel below shows which texts the brushed experts get."),
    ms_experts_screen_new, NULL },
  { "text", N_ ("Text"), "accessories-text-editor-symbolic", "<Alt>3",
    N_ ("The documents as running text. Each token is coloured by its router's entropy, its first "
        "expert, "
        "the brushed experts, or what changed. Move over a token, or use the arrow keys, to see "
        "its "
        "experts in all layers."),
    ms_text_screen_new, NULL },
  { "cache", N_ ("Cache"), "drive-harddisk-symbolic", "<Alt>4",
    N_ ("How often the experts a token needs would be in a cache. Curves follow the settings; keep "
        "some "
        "to compare. The slider looks at one size of the cache. Belady's policy knows the future: "
        "no cache can do better."),
    ms_cache_screen_new, ms_cache_tabs },
  { "languages", N_ ("Languages"), "preferences-desktop-locale-symbolic", "<Alt>5",
    N_ ("How far languages are from each other in the experts they use, layer by layer, and "
        "translations of "
        "the same text under each other."),
    ms_languages_screen_new, ms_languages_tabs },
  { "compare", N_ ("Compare"), "view-dual-symbolic", "<Alt>6",
    N_ ("Two runs of the same tokens: which settings differ, where routing changed, and whether "
        "near ties "
        "explain it. Pin a run of the list on the left as baseline."),
    ms_compare_screen_new, ms_compare_tabs },
  { "consistency", N_ ("Consistency"), "media-playlist-repeat-symbolic", "<Alt>7",
    N_ ("Do neighbouring tokens go to the same experts, and could experts be loaded for a whole "
        "segment "
        "at once?"),
    NULL, consistency_tabs },
  { "flow", N_ ("Flow"), "network-transmit-receive-symbolic", "<Alt>8",
    N_ ("Which experts follow each other from layer to layer, and which are chosen together."),
    NULL, flow_tabs },
  { "placement", N_ ("Placement"), "network-server-symbolic", "<Alt>9",
    N_ ("Which experts to put on which device, and how many decisions a hot set takes."), NULL,
    placement_tabs },
  { "analyses", N_ ("Analyses"), "accessories-calculator-symbolic", "<Alt>0",
    N_ ("Every measure moescope knows, with its parameters, definition, tables and figures. The "
        "command line of each result can be copied and gives the same numbers. Open the eyes of "
        "further runs in the list on the left to draw them in the same figures."),
    ms_analyses_screen_new, NULL },
  { "sql", N_ ("SQL"), "utilities-terminal-symbolic", "<Alt>minus",
    N_ ("SELECT statements on the database. Decisions are the table routing, counts the function "
        "load, token "
        "texts the table token. Names like :layer become fields that start with the selection."),
    ms_sql_screen_new, NULL },
  { NULL, NULL, NULL, NULL, NULL, NULL, NULL },
};

const MsScreenInfo *
ms_screen_find (const char *name)
{
  for (const MsScreenInfo *info = ms_screens; info->name != NULL; info++)
    if (g_strcmp0 (info->name, name) == 0)
      return info;
  return NULL;
}

GtkWidget *
ms_screen_make (const MsScreenInfo *info, MsWorkbench *bench)
{
  return info->make != NULL ? info->make (bench) : ms_analysis_screen_new (bench, info->tabs);
}
