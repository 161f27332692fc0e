/* Kept texts live in one file of the user's data folder for each kind, with a group for each database:
 * databases are opened for reading only and may be shared. */
#include "kept-private.h"

#include <gio/gio.h>
#include <string.h>

static char *
store_path (const char *kind)
{
  g_autofree char *name = g_strconcat (kind, ".ini", NULL);

  return g_build_filename (g_get_user_data_dir (), "moescope", name, NULL);
}

static GKeyFile *
load (const char *kind)
{
  GKeyFile *store = g_key_file_new ();
  g_autofree char *path = store_path (kind);

  g_key_file_load_from_file (store, path, G_KEY_FILE_KEEP_COMMENTS, NULL);
  return store;
}

static gboolean
save (GKeyFile *store, const char *kind, GError **error)
{
  g_autofree char *path = store_path (kind);
  g_autofree char *folder = g_path_get_dirname (path);

  if (g_mkdir_with_parents (folder, 0700) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot make the folder %s", folder);
      return FALSE;
    }
  return g_key_file_save_to_file (store, path, error);
}

/* Neither groups nor keys may hold brackets; both are written as in addresses. */
static char *
group_of (const char *path)
{
  g_autofree char *whole = g_canonicalize_filename (path, NULL);

  return g_uri_escape_string (whole, "/", FALSE);
}

static char *
key_of (const char *name)
{
  return g_uri_escape_string (name, NULL, FALSE);
}

GStrv
ms_kept_list (const char *kind, const char *path)
{
  g_autoptr (GKeyFile) store = load (kind);
  g_autofree char *group = group_of (path);
  GStrv keys = g_key_file_get_keys (store, group, NULL, NULL);

  if (keys == NULL)
    return g_new0 (char *, 1);
  for (guint i = 0; keys[i] != NULL; i++)
    {
      g_autofree char *key = keys[i];

      keys[i] = g_uri_unescape_string (key, NULL);
      if (keys[i] == NULL)
        keys[i] = g_strdup (key);
    }
  return keys;
}

char *
ms_kept_get (const char *kind, const char *path, const char *name)
{
  g_autoptr (GKeyFile) store = load (kind);
  g_autofree char *group = group_of (path);
  g_autofree char *key = key_of (name);

  return g_key_file_get_string (store, group, key, NULL);
}

gboolean
ms_kept_put (const char *kind, const char *path, const char *name, const char *text, GError **error)
{
  g_autoptr (GKeyFile) store = load (kind);
  g_autofree char *group = group_of (path);
  g_autofree char *key = key_of (name);

  g_key_file_set_string (store, group, key, text);
  return save (store, kind, error);
}

void
ms_kept_remove (const char *kind, const char *path, const char *name)
{
  g_autoptr (GKeyFile) store = load (kind);
  g_autofree char *group = group_of (path);
  g_autofree char *key = key_of (name);

  if (g_key_file_remove_key (store, group, key, NULL))
    save (store, kind, NULL);
}

void
ms_kept_raise (const char *kind, const char *path, const char *name)
{
  g_autoptr (GKeyFile) store = load (kind);
  g_autofree char *group = group_of (path);
  g_autofree char *key = key_of (name);
  g_auto (GStrv) keys = g_key_file_get_keys (store, group, NULL, NULL);
  guint at = 0, n = keys != NULL ? g_strv_length (keys) : 0;
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  while (at < n && strcmp (keys[at], key) != 0)
    at++;
  if (at == 0 || at == n)
    return;
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (texts, g_key_file_get_string (store, group, keys[i], NULL));
  g_key_file_remove_group (store, group, NULL);
  for (guint i = 0; i < n; i++)
    {
      guint from = i == at - 1 ? at : i == at ? at - 1 : i;

      g_key_file_set_string (store, group, keys[from], texts->pdata[from]);
    }
  save (store, kind, NULL);
}
