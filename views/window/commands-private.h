/* What the actions of a window do: each gets the window, the action's name ("win.open") and its parameter. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

void ms_command_open_path (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_open (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_open_sample (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_collect (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_import (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_figure (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_focus_figure (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_close_file (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_refresh (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_screen (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_place (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_run (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_analysis (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_specialists (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_compare_with (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_cache (GtkWidget *widget, const char *name, GVariant *parameter);
void ms_command_map (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_sql (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_back (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_forward (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_clear_selection (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_clear_all (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_copy_selection (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_edit_selection (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_make_baseline (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_pick_baseline (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_compare (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_clear_baseline (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_search (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_menu (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_pane (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_fullscreen (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_help (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_about (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_save_slice (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_slice (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_forget_slice (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_report (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_write_report (GtkWidget *window, const char *name, GVariant *parameter);
void ms_command_add_section (GtkWidget *window, const char *name, GVariant *parameter);

G_END_DECLS
