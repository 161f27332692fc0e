/* moescope-gui: starts the window and nothing else; all that it does is views/window. */
#include "window.h"

int
main (int argc, char **argv)
{
  g_autoptr (AdwApplication) application = ms_application_new ();

  return g_application_run (G_APPLICATION (application), argc, argv);
}
