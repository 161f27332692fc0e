#include "window.h"

AdwApplication *
ms_application_new (void)
{
  return adw_application_new ("org.moescope.Moescope", G_APPLICATION_HANDLES_OPEN);
}
