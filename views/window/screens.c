/* The list of screens, in the order of the left pane. */
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
  { .title = N_ ("Placement"), .analysis = "placement" },
  { .title = N_ ("Balancing"), .analysis = "eplb" },
  { .title = N_ ("Load Over Time"), .analysis = "load-windows" },
  { NULL },
};

static GtkWidget *
make_consistency (MsWorkbench *bench)
{
  return ms_analysis_screen_new (bench, consistency_tabs);
}

static GtkWidget *
make_flow (MsWorkbench *bench)
{
  return ms_analysis_screen_new (bench, flow_tabs);
}

static GtkWidget *
make_placement (MsWorkbench *bench)
{
  return ms_analysis_screen_new (bench, placement_tabs);
}

const MsScreenInfo ms_screens[] = {
  { "overview", N_ ("Overview"), "view-app-grid-symbolic",
    N_ ("A sentence and a small figure for each of the main questions; click one to see more. "
        "Below is "
        "what stands out: click a finding to go where it is."),
    ms_overview_screen_new },
  { "experts", N_ ("Experts"), "view-grid-symbolic",
    N_ ("Each cell is one expert of one layer, coloured by its load, by how sure the router was, "
        "by what "
        "it specialises in, or by what changed against the baseline run. Drag to brush a "
        "rectangle, "
        "click a cell, add with Ctrl. The panel below shows which texts the brushed experts get."),
    ms_experts_screen_new },
  { "text", N_ ("Text"), "accessories-text-editor-symbolic",
    N_ ("The documents as running text. Each token is coloured by its router's entropy, its first "
        "expert, "
        "the brushed experts, or what changed. Move over a token, or use the arrow keys, to see "
        "its "
        "experts in all layers."),
    ms_text_screen_new },
  { "cache", N_ ("Cache"), "drive-harddisk-symbolic",
    N_ ("How often the experts a token needs would be in a cache. Curves follow the settings; keep "
        "some "
        "to compare. The slider looks at one size of the cache. Belady's policy knows the future: "
        "no cache can do better."),
    ms_cache_screen_new },
  { "languages", N_ ("Languages"), "preferences-desktop-locale-symbolic",
    N_ ("How far languages are from each other in the experts they use, layer by layer, and "
        "translations of "
        "the same text under each other."),
    ms_languages_screen_new },
  { "compare", N_ ("Compare"), "view-dual-symbolic",
    N_ ("Two runs of the same tokens: which settings differ, where routing changed, and whether "
        "near ties "
        "explain it. Pin a run of the list on the left as baseline."),
    ms_compare_screen_new },
  { "consistency", N_ ("Consistency"), "media-playlist-repeat-symbolic",
    N_ ("Do neighbouring tokens go to the same experts, and could experts be loaded for a whole "
        "segment "
        "at once?"),
    make_consistency },
  { "flow", N_ ("Flow"), "network-transmit-receive-symbolic",
    N_ ("Which experts follow each other from layer to layer, and which are chosen together."),
    make_flow },
  { "placement", N_ ("Placement"), "network-server-symbolic",
    N_ ("Which experts to put on which device, and how many decisions a hot set takes."),
    make_placement },
  { "analyses", N_ ("Analyses"), "accessories-calculator-symbolic",
    N_ ("Every measure moescope knows, with its parameters, definition, tables and figures. The "
        "command line of each result can be copied and gives the same numbers. Open the eyes of "
        "further runs in the list on the left to draw them in the same figures."),
    ms_analyses_screen_new },
  { "sql", N_ ("SQL"), "utilities-terminal-symbolic",
    N_ ("SELECT statements on the database. Decisions are the table routing, counts the function "
        "load, token "
        "texts the table token. Names like :layer become fields that start with the selection."),
    ms_sql_screen_new },
  { NULL, NULL, NULL, NULL, NULL },
};
