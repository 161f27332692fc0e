/* Loads the matrix libraries.
 *
 * What must hold: a table is handed out whole or not at all; a library once loaded stays. */
#include "libraries-private.h"

#include <dlfcn.h>

#if defined MS_HAVE_OPENBLAS || defined MS_HAVE_ONEDNN

typedef struct
{
  const char *name;
  void **function;
} Symbol;

/* Opens the library and fills in its functions; TRUE when all of them are there. */
static gboolean
load (const char *library, const Symbol *symbols, guint n)
{
  void *handle = dlopen (library, RTLD_NOW | RTLD_LOCAL);

  for (guint i = 0; i < n && handle != NULL; i++)
    if ((*symbols[i].function = dlsym (handle, symbols[i].name)) == NULL)
      return FALSE;
  return handle != NULL;
}

#define LOAD(symbol, member) { #symbol, (void **) (gpointer) &table.member },

#endif

#ifdef MS_HAVE_OPENBLAS
static gpointer
load_openblas (gpointer data)
{
  static MsOpenblas table;
  const Symbol symbols[] = { MS_OPENBLAS_SYMBOLS (LOAD) };

  (void) data;
  return load ("libopenblas.so.0", symbols, G_N_ELEMENTS (symbols)) ? &table : NULL;
}

const MsOpenblas *
ms_library_openblas (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, load_openblas, NULL);
}
#endif

#ifdef MS_HAVE_ONEDNN
static gpointer
load_onednn (gpointer data)
{
  static MsOnednn table;
  /* OpenMP comes with it. */
  const Symbol symbols[] = { MS_ONEDNN_SYMBOLS (LOAD) };

  (void) data;
  return load ("libdnnl.so." G_STRINGIFY (DNNL_VERSION_MAJOR), symbols, G_N_ELEMENTS (symbols))
             ? &table
             : NULL;
}

const MsOnednn *
ms_library_onednn (void)
{
  static GOnce once = G_ONCE_INIT;

  return g_once (&once, load_onednn, NULL);
}
#endif
