/* What the parts of the figure engine share.
 *
 * figure.c reads the table once into channels, axes and series; layout.c turns (width, height) into panels
 * and labels; draw.c and pointer.c are on top of both.  Each mark has one file with one MsMarkClass, whose
 * functions all use the same geometry and call neither figure.c nor layout.c. */
#pragma once

#include "figure.h"
#include "scale-private.h"

#include <pango/pangocairo.h>

G_BEGIN_DECLS

#define MS_SERIES_MAX  7
#define MS_YELLOW_SLOT 6 /* faint on white: drawn with an outline */
#define MS_NONE        G_MAXUINT32

typedef struct
{
  double x, y, w, h;
} MsRect;

/* --- Channels: the columns a plot uses ------------------------------------------------------- */

typedef struct
{
  const MsColumn *column; /* NULL = the plot does not use this channel */
  const gint64 *ints;     /* one of the two for numbers, neither for text */
  const double *reals;
  guint index;  /* of the column */
  guint n;      /* categories; 0 = not made into categories */
  char **names; /* (n) for people */
  double
      *numbers; /* (n) ascending unless sorted, NULL for text, which keeps the order of the table */
  guint32 *of_row; /* (table rows) the row's category or MS_NONE */
} MsChannel;

/* The number of a row: the value, or the category where there are categories; NaN for none. */
double ms_channel_get (const MsChannel *channel, guint row);
/* The value itself, categories or not; NaN for text. */
double ms_channel_raw (const MsChannel *channel, guint row);
guint ms_channel_category (const MsChannel *channel, guint row); /* 0 without categories */
/* FALSE with DATA when the table lacks the column; name NULL leaves the channel unused. */
gboolean ms_channel_open (MsChannel *channel, MsTable *table, const char *name, GError **error);
void ms_channel_clear (MsChannel *channel);
void ms_channel_categorize (MsChannel *channel, MsTable *table, const guint32 *rows, guint n_rows);
/* Puts the categories in the order of falling (n) scores; equal ones keep theirs. */
void ms_channel_sort (MsChannel *channel, const double *scores, guint n_table_rows);
/* Gives both channels the categories of either. */
void ms_channel_unite (MsChannel *a, MsChannel *b, guint n_table_rows);
/* "Hit rate (%)": title and unit. */
char *ms_channel_title (const MsChannel *channel);

/* --- Tracks: rows of one facet and series in the order of x ------------------------------------ */

/* Least and greatest value of each 512 points, so that a line of any length is drawn per pixel. */
typedef struct
{
  double *least, *most; /* NULL for short tracks; least > most where a block has no number */
} MsPyramid;

typedef struct
{
  guint facet, series, n;
  guint32 first; /* the rows are first, first + 1, ... when `rows` is NULL */
  guint32 *rows;
  MsPyramid y, low, high;
} MsTrack;

static inline guint
ms_track_row (const MsTrack *track, guint i)
{
  return track->rows != NULL ? track->rows[i] : track->first + i;
}

/* --- Layout ---------------------------------------------------------------------------------- */

typedef struct
{
  double at;  /* 0..1 along the axis */
  guint rank; /* 1: in a second row or column of labels, away from the axis */
  char *text;
} MsLabel;

typedef struct
{
  MsRect plot; /* where the marks are */
  guint facet;
  gboolean left, bottom; /* carries the labels of the y and the x axis */
} MsPanel;

typedef struct
{
  MsRect box;   /* swatch and text */
  guint series; /* MS_NONE: the heading of the legend */
} MsKey;

typedef struct
{
  double width, height;
  double em, line;                          /* font size and line height */
  GArray *panels;                           /* of MsPanel */
  GArray *x_labels, *y_labels, *bar_labels; /* of MsLabel */
  double x_angle;                           /* 0, 45 or 90: x labels lean so */
  guint x_style, y_style;                   /* MsTextStyle of the labels */
  double x_label_width, y_label_width;      /* longest allowed */
  double x_rank, y_rank;                    /* how far labels of rank 1 stand behind the others */
  gboolean strips;                          /* panels have a heading */
  gboolean wraps;                           /* the title takes as many lines as it needs */
  GArray *keys;                             /* of MsKey: the legend */
  gboolean direct;                          /* series are named at the ends of their lines */
  double direct_x;
  MsRect bar;      /* colour bar, w = 0 for none */
  gboolean across; /* it lies below the panels */
  guint columns;   /* of panels */
  guint shown;     /* panels drawn, from the first facet to the last, of n_facets */
  double head;     /* where title and legend end */
  double title_x, title_y, x_title_y, y_title_x, note_y;
  double tree;         /* depth of dendrograms */
  double bars;         /* depth of the bars beside a heatmap */
  double bars_label;   /* width of the labels at the left of those on top */
  double over, beside; /* room for either above and at the right of a panel */
} MsLayout;

void ms_layout_free (MsLayout *layout);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MsLayout, ms_layout_free)
MsLayout *ms_layout_new (MsFigure *figure, double width, double height);

/* --- Drawing --------------------------------------------------------------------------------- */

typedef enum
{
  MS_TEXT_PLAIN = 0,
  MS_TEXT_BOLD = 1 << 0,
  MS_TEXT_SMALL = 1 << 1,
  MS_TEXT_FAINT = 1 << 2, /* ink towards paper, still readable */
  MS_TEXT_TINY = 1 << 3,  /* names of many categories: the least that is legible on paper */
} MsTextStyle;

typedef struct
{
  cairo_t *cr; /* NULL: measuring only */
  const MsTheme *theme;
  PangoContext *context;
  PangoLayout *layout;
  double em;        /* font size in 1/96 inch */
  GString *live;    /* SVG: texts are collected here as <text> elements */
  gboolean compact; /* MsFigureOptions */
} MsPen;

void ms_pen_init (MsPen *pen, const MsTheme *theme, cairo_t *cr);
void ms_pen_clear (MsPen *pen);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MsPen, ms_pen_clear)

/* A surface with this user data (a GString) takes text as live SVG text instead of shapes. */
extern const cairo_user_data_key_t ms_pen_live_key;

/* The style that most texts share, said once around all of them. */
char *ms_text_style (const MsTheme *theme);
/* cairo's SVG made small and the same each time. */
GString *ms_svg_tidy (const char *svg);

void ms_pen_colour (MsPen *pen, MsColour colour, double alpha);
MsColour ms_pen_ink (const MsPen *pen, guint style);
/* The text's size; it is one line, cut with an ellipsis at max_width when that is above 0. */
void ms_pen_measure (MsPen *pen, const char *text, guint style, double max_width, double *width,
                     double *height);
/* (x, y) is the point ax, ay (0..1) of the text's box; angle in degrees, clockwise, about it. */
void ms_pen_text (MsPen *pen, double x, double y, double ax, double ay, double angle, guint style,
                  MsColour colour, double max_width, const char *text);
/* An empty layout in the pen's font and with its options. (transfer full) */
PangoLayout *ms_pen_layout_new (MsPen *pen, guint style);
/* Wraps at `width`; returns the height; draws when the pen has a cairo context. */
double ms_pen_paragraph (MsPen *pen, double x, double y, double width, guint style,
                         const char *text);
void ms_pen_line (MsPen *pen, double x1, double y1, double x2, double y2);
/* Diagonal lines over the current path: "no data". */
void ms_pen_hatch (MsPen *pen, double spacing);
/* The dash and the marker that belong to a series beside its colour. */
void ms_pen_dash (MsPen *pen, guint series, double line_width);
void ms_pen_marker (MsPen *pen, guint series, double x, double y, double radius, MsColour colour);
/* The line under words of a series, which carry no pattern; slot 0 has none.  `y` is the lower edge of
 * the words' box; the line stays within MS_UNDERLINE_REACH below it. */
void ms_pen_underline (MsPen *pen, guint slot, double x1, double x2, double y);
#define MS_UNDERLINE_REACH 3.0
/* Height of a swatch that is a box, in em. */
#define MS_SWATCH_SIDE 0.8
/* Fills the current path with the series' colour and its pattern. */
void ms_pen_fill (MsPen *pen, guint series, MsColour colour);
/* Signs of series in the legend, see MsMarkClass. */
void ms_swatch_line (MsPen *pen, guint slot, MsColour colour, MsRect box);
void ms_swatch_point (MsPen *pen, guint slot, MsColour colour, MsRect box);
void ms_swatch_box (MsPen *pen, guint slot, MsColour colour, MsRect box);
void ms_swatch_words (MsPen *pen, guint slot, MsColour colour, MsRect box);

MsColour ms_colour_mix (MsColour a, MsColour b, double share);

/* --- Figures --------------------------------------------------------------------------------- */

/* The columns without which a mark cannot be drawn. */
typedef enum
{
  MS_NEEDS_LABEL = 1 << 0,
  MS_NEEDS_X = 1 << 1,
  MS_NEEDS_Y = 1 << 2,
  MS_NEEDS_VALUE = 1 << 3, /* a number */
  MS_NEEDS_X2 = 1 << 4,
} MsMarkNeeds;

/* What the series of a mark are, which decides how many of them are shown when there are more than
 * colours. */
typedef enum
{
  MS_SERIES_AMOUNTS, /* the largest matter most */
  MS_SERIES_CURVES,  /* those farthest from the mean */
  MS_SERIES_NAMES,   /* the most frequent; a name has no value and is never a number */
} MsSeriesSense;

/* What an axis does about zero. */
typedef enum
{
  MS_ZERO_NEAR, /* begins there when the data comes near */
  MS_ZERO_BASE, /* always holds it */
  MS_ZERO_FREE, /* nothing: begins where the data begins */
} MsZero;

/* Everything that the engine asks of a mark: nothing else asks which mark a plot has.  What is zero is the
 * usual answer; of the functions, those said to may be NULL. */
typedef struct
{
  /* What it takes of the plot. */
  guint needs;           /* MsMarkNeeds */
  gboolean x_categories; /* x has places, not values, whatever its type; so has y */
  gboolean y_categories;
  gboolean united;       /* x and y are the same things: each has the categories of both */
  gboolean takes_series; /* several groups or runs can share a panel as its series */
  gboolean whole;        /* one panel holds all facets; groups and runs have no place in it */
  gboolean consecutive;  /* groups need no place: their rows follow one another */
  MsSeriesSense series;
  gboolean tracks; /* rows of a facet and series are wanted in the order of x */
  gboolean joined; /* tracks are curves: named at their ends where possible, and any part counts */
  gboolean legend; /* several series are told apart by keys */

  /* Axes. */
  gboolean spells;   /* a row is named by its token: the text in the table's column "token" */
  gboolean axes;     /* has x and y axes */
  gboolean grid;     /* faint lines at the y ticks; panels may be flat */
  gboolean framed;   /* a line all around, as what it shows fills the panel */
  gboolean square;   /* panels are square, however long the title of the y axis is */
  gboolean coloured; /* a number in the value column becomes a colour, with a colour bar */
  gboolean measured; /* x is a quantity as y is: its axis begins at zero when that is near, single
                            places stand beside the axes, and a reference need not be in sight */
  gboolean edges;    /* x begins at the first edge and ends at the last */
  MsZero y_zero;
  const char *intervals; /* what low..high are called when drawn */
  /* Limits of the y axis; NULL = those of y, low and high. */
  void (*y_limits) (const MsFigure *figure, double *low, double *high);

  /* Once: builds what the mark needs beyond channels. May be NULL. */
  gboolean (*prepare) (MsFigure *figure, GError **error);
  void (*finish) (MsFigure *figure); /* frees figure->data; may be NULL */

  /* Height of one panel's plot area that suits `width`. */
  double (*panel_height) (MsFigure *figure, double width, double em);
  /* The least width in which one panel of several is legible; NULL = a few em. */
  double (*panel_least) (MsFigure *figure, double em);
  /* Sets the layout's `over`, `beside` and what stands there, by its size (height 0 = natural) and em; NULL =
   * nothing stands around a panel. */
  void (*surround) (const MsFigure *figure, MsLayout *layout, MsPen *pen);

  void (*draw) (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen);
  /* The row at (x, y), which lies in the panel; -1 for none. */
  int (*pick) (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x, double y);
  gboolean (*locate) (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row,
                      MsRect *rect);
  int (*step) (MsFigure *figure, int row, MsStep direction);

  /* The sign of a series in the legend: a box of MS_SWATCH_SIDE where `swatch_box`, else low and wide. */
  void (*swatch) (MsPen *pen, guint slot, MsColour colour, MsRect box);
  gboolean swatch_box;
  double swatch_reach; /* of what may stand below the box */

  const void *own; /* the mark's own constants */
} MsMarkClass;

#define MS_MARK_DECLARE(NAME, name) extern const MsMarkClass ms_mark_##name;
MS_MARKS (MS_MARK_DECLARE)
#undef MS_MARK_DECLARE

const MsMarkClass *ms_mark_class (MsMark mark);
/* How many of series and facet a plot leaves free for groups and runs, and whether the series is. */
guint ms_plot_count_free (const MsPlotDef *plot, gboolean *series);

/* The bars along one side of a heatmap, see margins.c. */
typedef struct
{
  double *values; /* (n) in the order of the categories, NaN = nothing to say; NULL = no bars */
  guint n;
  MsAxis axis;
} MsBars;

struct MsFigure
{
  MsTable *table;
  const MsPlotDef *plot;
  const MsMarkClass *mark;
  MsTheme theme;
  char *title, *panel, *note;              /* NULL = none */
  gboolean compact, captioned, no_margins; /* MsFigureOptions */
  guint n_rows;
  guint32 *rows; /* the rows that `where` leaves, NULL = all */
  MsChannel x, y, value, series, facet, low, high, label, x2, reference;
  guint n_facets, n_series;   /* at least 1 */
  guint slots[MS_SERIES_MAX]; /* which colour, dash and marker a series has */
  MsAxis x_axis, y_axis, value_axis;
  gboolean y_down;                /* categories: the first is on top */
  gboolean empty;                 /* nothing has a value */
  gboolean has_value;             /* colour comes from value_axis; with a colour bar */
  gboolean diverging;             /* value_axis is symmetric about the middle */
  gboolean lone_bars;             /* one bar in each category, whatever its series */
  gboolean ordered_series;        /* many numbered series: coloured along a scale */
  gboolean valued[MS_SERIES_MAX]; /* those of the first series that have a value: they get a key */
  const char *chosen_series;      /* more than there are colours: which come first; else NULL */
  gboolean clip_low, clip_high;   /* values lie beyond value_axis */
  char *bar_title;
  guint n_tracks;
  MsTrack *tracks;
  guint32 *order,
      *place;        /* (n) of a matrix: category at a place and back; NULL = their own order */
  gpointer joints;   /* its tree */
  MsBars right, top; /* beside a heatmap */
  gpointer data;     /* the mark's own */
  char *mark_note;   /* what the mark left out; NULL = nothing */
  MsLayout *layout;
};

static inline guint
ms_figure_row (const MsFigure *figure, guint i)
{
  return figure->rows != NULL ? figure->rows[i] : i;
}

/* The same layout for drawing, picking and locating; borrowed until the next call. */
const MsLayout *ms_figure_layout (MsFigure *figure, double width, double height);
/* Of numbered series, t in 0..1. */
MsColour ms_figure_order_colour (const MsFigure *figure, double t);
MsColour ms_figure_series_colour (const MsFigure *figure, guint series);
/* Which dash, marker and pattern go with that colour. */
guint ms_figure_slot (const MsFigure *figure, guint series);
/* FALSE for NaN. */
gboolean ms_figure_value_colour (const MsFigure *figure, double value, MsColour *colour);
double ms_panel_x (const MsFigure *figure, const MsPanel *panel, double value);
double ms_panel_y (const MsFigure *figure, const MsPanel *panel, double value);
/* A dashed line along the reference column, with its name. */
void ms_reference_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen);
double ms_chart_height (MsFigure *figure, double width, double em);
/* Room that a name in a column of names needs, in em: small ones in two ranks are the tightest. */
#define MS_NAME_LEAST 0.39
gboolean ms_point_locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row,
                          MsRect *rect);
/* Steps along tracks: left and right within one, up and down to the nearest x of the next. */
int ms_tracks_step (MsFigure *figure, int row, MsStep direction);
/* "Layer 3" for numbers, the name itself for text. */
char *ms_series_name (const MsFigure *figure, guint series);
char *ms_figure_x_title (const MsFigure *figure);
char *ms_figure_y_title (const MsFigure *figure);
char *ms_facet_title (const MsFigure *figure, guint facet);
/* "Coloured are the 7 of 23 ...", what is left out, and the caller's note; NULL for none. */
char *ms_figure_notes (const MsFigure *figure, guint panels_shown);
/* Those that are drawn; NULL for none. */
char *ms_figure_drawn_notes (const MsFigure *figure, guint panels_shown);

/* Cells of two categories, for heatmap and matrix.  Row MS_NONE = no cell. */
gboolean ms_grid_prepare (MsFigure *figure, GError **error);
void ms_grid_mirror (MsFigure *figure); /* cells that lack a row take that of their mirror image */
void ms_grid_finish (MsFigure *figure);
guint32 ms_grid_row (const MsFigure *figure, guint facet, guint x, guint y);
void ms_grid_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen);
int ms_grid_pick (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, double x,
                  double y);
gboolean ms_grid_locate (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, guint row,
                         MsRect *rect);
int ms_grid_step (MsFigure *figure, int row, MsStep direction);
double ms_grid_least (MsFigure *figure, double em);

/* axes.c */
void ms_figure_place_axes (MsFigure *figure);
/* low and high both 0 = from the data. */
void ms_figure_value_axis (MsFigure *figure, const MsChannel *channel, MsScale scale, double low,
                           double high);

/* series.c: steps of making a figure, in this order. */
void ms_series_keep_slots (MsFigure *figure);  /* runs have the colours of other figures */
void ms_series_order (MsFigure *figure);       /* many numbered ones are coloured along a scale */
void ms_series_choose (MsFigure *figure);      /* of too many the first matter most */
void ms_series_find_valued (MsFigure *figure); /* those with nothing to show have no key */

/* labels.c: arrays of MsLabel. */
GArray *ms_labels_new (void);
void ms_labels_of_axis (const MsAxis *axis, guint most, GArray *labels);
/* Every category, or as many as `most` leaves, in `order` (NULL = their own). */
void ms_labels_of_categories (const MsChannel *channel, double most, GArray *labels,
                              const guint32 *order);
double ms_labels_width (MsPen *pen, const GArray *labels, guint style, double most);
/* The names of y in a panel `length` high; returns their width. */
double ms_labels_fit_down (MsFigure *figure, MsLayout *layout, MsPen *pen, double length);
/* The names of x in a panel `length` wide; returns their height. */
double ms_labels_fit_across (MsFigure *figure, MsLayout *layout, MsPen *pen, double length,
                             gboolean may_lean);

/* legend.c */
/* Places the keys in rows from (left, top); returns the height. */
double ms_legend_place (MsFigure *figure, MsLayout *layout, MsPen *pen, double left, double right,
                        double top);
/* Whether lines are named at their right ends, and the room that takes. */
gboolean ms_legend_wants_direct (MsFigure *figure, MsPen *pen, double width, double line,
                                 double *room);
void ms_legend_draw (MsFigure *figure, const MsLayout *layout, MsPen *pen);

/* margins.c */
/* The bars on top or at the right and where they are; NULL when there are none. */
const MsBars *ms_margins_at (const MsFigure *figure, const MsLayout *layout, gboolean top,
                             MsRect *area);
/* The whole place of a bar, whatever its length. */
MsRect ms_margins_place (const MsBars *bars, const MsRect *area, gboolean top, guint i);
gboolean ms_margins_prepare (MsFigure *figure, GError **error);
/* MsMarkClass.surround: the bars' room, none in a small figure. */
void ms_margins_surround (const MsFigure *figure, MsLayout *layout, MsPen *pen);
void ms_margins_draw (MsFigure *figure, const MsLayout *layout, const MsPanel *panel, MsPen *pen);

/* tracks.c */
void ms_tracks_build (MsFigure *figure);
void ms_tracks_free (MsFigure *figure);
const MsTrack *ms_track_find (const MsFigure *figure, guint facet, guint series);
/* The first index of the track whose x is not below `x`. */
guint ms_track_search (const MsFigure *figure, const MsTrack *track, double x);
/* Least and greatest value of points from..to-1; FALSE when none is a number. */
gboolean ms_track_range (const MsTrack *track, const MsChannel *channel, const MsPyramid *pyramid,
                         guint from, guint to, double *least, double *most);

G_END_DECLS
