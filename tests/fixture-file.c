/* Writes the rich fixture to a file, twice with different noise: two runs to compare. */
#include "fixture.h"

int
main (int argc, char **argv)
{
  if (argc != 2)
    return 2;
  g_free (ms_fixture_rich (argv[1], 0));
  g_free (ms_fixture_rich (argv[1], 0.5));
  return 0;
}
