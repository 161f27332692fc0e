/* The virtual tables routing, load and token, shared by the console and the loadable extension. */
#pragma once

#include <sqlite3.h>

/* Makes the tables known to the connection; returns an SQLite code. */
int ms_vtab_register (sqlite3 *db);
