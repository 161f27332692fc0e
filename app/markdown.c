/* Text in Markdown: nothing of it may act as a mark. */
#include "markdown.h"

#include "base.h"

#include <string.h>

void
ms_markdown_append (GString *out, const char *text)
{
  g_autofree char *clean = ms_text_printable (text, -1);

  for (const char *c = clean; *c != '\0'; c++)
    if (*c == '<')
      g_string_append (out, "&lt;");
    else
      {
        if (strchr ("|*_`\\[]&", *c) != NULL)
          g_string_append_c (out, '\\');
        g_string_append_c (out, *c);
      }
}
