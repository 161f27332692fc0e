/* Writes the rich fixture to a file, twice with different noise: two runs to compare.  With a second
 * argument the file holds no run. */
#include "fixture.h"

int
main (int argc, char **argv)
{
  if (argc == 3)
    {
      g_autoptr (MsDb) db = ms_db_open (argv[1], MS_DB_CREATE, NULL);

      return db == NULL;
    }
  if (argc != 2)
    return 2;
  g_free (ms_fixture_rich (argv[1], 0));
  g_free (ms_fixture_rich (argv[1], 0.5));
  return 0;
}
