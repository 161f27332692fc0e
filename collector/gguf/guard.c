/* The guard: a handler of SIGBUS that puts pages of zeros where a file has none.
 *
 * What must hold: the handler reads the table with atomic loads alone and calls only mmap and sigaction; a
 * fault elsewhere goes to whoever handled the signal before. */
#include "guard-private.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST 1024

/* from = 0: free.  from is set last and cleared first. */
static struct
{
  guintptr from, to;
  gint cut;
} maps[MOST];

static GMutex lock;
static struct sigaction before;
static guintptr page;

static void
fill_in (int number, siginfo_t *info, void *context)
{
  guintptr at = (guintptr) info->si_addr;

  (void) context;
  for (guint i = 0; i < MOST; i++)
    {
      guintptr from = (guintptr) g_atomic_pointer_get (&maps[i].from);
      guintptr to = (guintptr) g_atomic_pointer_get (&maps[i].to);

      if (from == 0 || at < from || at >= to)
        continue;
      /* All behind the page is beyond the end of the file, too. */
      at = at / page * page;
      if (mmap ((void *) at, to - at, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
          == MAP_FAILED)
        break;
      g_atomic_int_set (&maps[i].cut, TRUE);
      return;
    }
  /* Comes again and finds the old action. */
  sigaction (number, &before, NULL);
}

static void
install (void)
{
  struct sigaction action = { .sa_sigaction = fill_in, .sa_flags = SA_SIGINFO };

  page = (guintptr) sysconf (_SC_PAGESIZE);
  sigaction (SIGBUS, &action, &before);
}

gint
ms_guard_add (gconstpointer from, gsize size)
{
  gint guard = -1;

  g_mutex_lock (&lock);
  if (page == 0)
    install ();
  for (gint i = 0; i < MOST && guard < 0; i++)
    if (maps[i].from == 0)
      {
        g_atomic_pointer_set (&maps[i].to, (guintptr) from + size);
        g_atomic_int_set (&maps[i].cut, FALSE);
        g_atomic_pointer_set (&maps[i].from, (guintptr) from);
        guard = i;
      }
  g_mutex_unlock (&lock);
  return guard;
}

void
ms_guard_remove (gint guard)
{
  if (guard >= 0)
    g_atomic_pointer_set (&maps[guard].from, 0);
}

gboolean
ms_guard_is_cut (gint guard)
{
  return guard >= 0 && g_atomic_int_get (&maps[guard].cut);
}
