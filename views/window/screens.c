/* The list of screens, in the order of the left pane. */
#include "window-private.h"

#include "analyses-screen-private.h"
#include "experts-screen-private.h"

const MsScreenInfo ms_screens[] = {
  { "experts", N_ ("Experts"), "view-grid-symbolic",
    N_ ("Each cell is one expert of one layer, coloured by its load, by how sure the router was, "
        "by what "
        "it specialises in, or by what changed against the baseline run. Drag to brush a "
        "rectangle, "
        "click a cell, add with Ctrl. The panel below shows which texts the brushed experts get."),
    ms_experts_screen_new },
  { "analyses", N_ ("Analyses"), "accessories-calculator-symbolic",
    N_ ("Every measure moescope knows, with its parameters, definition, tables and figures. The "
        "command "
        "line of each result can be copied and gives the same numbers."),
    ms_analyses_screen_new },
  { NULL, NULL, NULL, NULL, NULL },
};
