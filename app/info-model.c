/* What `moescope info` tells of a model file, as text and as JSON: the same facts in both. */
#include "info-model.h"

#include "json.h"

#include <stdio.h>
#include <string.h>

/* The names of MsFactSection. */
static const char *const sections[]
    = { [MS_FACTS_GEOMETRY] = "geometry", [MS_FACTS_ROUTING] = "routing" };

static double
share (gint64 part, gint64 all)
{
  return all > 0 ? 100.0 * (double) part / (double) all : 0;
}

/* --- Text ------------------------------------------------------------------------------------- */

/* (transfer full) */
static char *
value_text (GVariant *value)
{
  char number[MS_NUMBER_SIZE];

  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    return g_strdup (ms_number_grouped (number, g_variant_get_int64 (value)));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    return g_strdup (ms_number_short (number, g_variant_get_double (value)));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    return g_strdup (g_variant_get_boolean (value) ? "yes" : "no");
  return ms_text_printable (g_variant_get_string (value, NULL), -1);
}

/* "expert_width" -> "Expert width".  (transfer full) */
static char *
title_of (const char *name)
{
  char *title = g_strdelimit (g_strdup (name), "_", ' ');

  title[0] = g_ascii_toupper (title[0]);
  return title;
}

static void
print_facts (const MsInspection *file, MsFactSection section)
{
  g_autofree char *heading = title_of (sections[section]);

  printf ("\n%s\n", heading);
  for (guint i = 0; i < file->facts->len; i++)
    {
      const MsFact *fact = &g_array_index (file->facts, MsFact, i);
      g_autofree char *title = NULL, *value = NULL, *source = NULL;

      if (fact->section != section)
        continue;
      title = title_of (fact->name);
      value = value_text (fact->value);
      source = ms_text_printable (fact->source, -1);
      printf ("  %-20s %-18s %s\n", title, value, source);
    }
}

static void
sum (const GArray *types, MsTypeShare *all)
{
  *all = (MsTypeShare){ 0 };
  for (guint i = 0; i < types->len; i++)
    {
      const MsTypeShare *one = &g_array_index (types, MsTypeShare, i);

      all->n_tensors += one->n_tensors;
      all->bytes += one->bytes;
      all->n_values += one->n_values;
    }
}

static void
print_roles (const MsInspection *file)
{
  char number[MS_NUMBER_SIZE];

  printf ("\nTensors by role                   bytes  share  values per tensor type\n");
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    {
      const GArray *types = file->roles[role];
      g_autofree char *title = title_of (ms_role_name (role));
      MsTypeShare all;

      if (types->len == 0)
        continue;
      sum (types, &all);
      printf ("  %-20s %16s %5.1f%% ", title, ms_number_grouped (number, all.bytes),
              share (all.bytes, file->tensor_bytes));
      for (guint i = 0; i < types->len; i++)
        {
          const MsTypeShare *one = &g_array_index (types, MsTypeShare, i);

          printf ("%s %s %s in %u", i > 0 ? "," : "", one->name,
                  ms_number_grouped (number, one->n_values), one->n_tensors);
        }
      putchar ('\n');
    }
}

static gboolean
are_alike (const MsBlockFacts *a, const MsBlockFacts *b)
{
  return strcmp (a->mixer, b->mixer) == 0 && g_strcmp0 (a->router_type, b->router_type) == 0
         && a->router_bias == b->router_bias && a->selection_bias == b->selection_bias
         && a->shared == b->shared && a->hashed == b->hashed && a->further == b->further
         && a->experts == b->experts && a->k == b->k && a->bytes == b->bytes
         && a->expert_bytes == b->expert_bytes;
}

static void
print_block (const MsBlockFacts *block)
{
  char number[MS_NUMBER_SIZE];

  printf ("%s bytes, mixer: %s", ms_number_grouped (number, block->bytes), block->mixer);
  if (block->experts > 0)
    printf ("; %u experts of %s bytes, %u per token", block->experts,
            ms_number_grouped (number, block->expert_bytes / block->experts), block->k);
  else
    fputs ("; no experts", stdout);
  if (block->shared)
    fputs (", and shared ones", stdout);
  if (block->router_type != NULL)
    printf ("; router %s%s%s", block->router_type, block->router_bias ? " with bias" : "",
            block->selection_bias ? ", selection bias" : "");
  if (block->hashed)
    fputs ("; experts by a table of token ids", stdout);
  if (block->further)
    fputs ("; predicts further tokens, no part of the pass", stdout);
  putchar ('\n');
}

/* Neighbours that are alike in one line. */
static void
print_blocks (const MsInspection *file)
{
  if (file->n_blocks > 0)
    puts ("\nBlocks");
  for (guint first = 0, next; first < file->n_blocks; first = next)
    {
      g_autofree char *which = NULL;

      for (next = first + 1; next < file->n_blocks; next++)
        if (!are_alike (&file->blocks[first], &file->blocks[next]))
          break;
      which = next - first > 1 ? g_strdup_printf ("%u..%u", first, next - 1)
                               : g_strdup_printf ("%u", first);
      printf ("  %-9s%s ", which, next - first > 1 ? " each" : "     ");
      print_block (&file->blocks[first]);
    }
}

static void
print_texts (const char *title, const GPtrArray *texts)
{
  for (guint i = 0; i < texts->len; i++)
    {
      g_autofree char *shown = ms_text_printable (texts->pdata[i], -1);

      printf ("  %-14s %s\n", i == 0 ? title : "", shown);
    }
}

void
ms_info_print_inspection (const MsInspection *file, gboolean named)
{
  char number[MS_NUMBER_SIZE];

  if (!named)
    {
      g_autofree char *name = ms_text_printable (file->name, -1);
      g_autofree char *architecture = ms_text_printable (file->architecture, -1);

      printf ("\nModel: %s\n  Architecture   %s\n", name, architecture);
      printf ("  Tensors        %u\n", file->n_tensors);
    }
  if (file->obstacles->len == 0)
    puts ("  Can be run     yes");
  else
    print_texts ("Cannot be run", file->obstacles);
  print_texts ("Note", file->warnings);
  if (file->n_tensors == 0)
    return;
  printf ("\nParameters\n  %-20s %16s\n", "All", ms_number_grouped (number, file->n_values));
  if (file->n_moe > 0)
    {
      printf ("  %-20s %16s  %5.1f%%\n", "Used by a token",
              ms_number_grouped (number, file->active_values),
              share (file->active_values, file->n_values));
      printf ("  %-20s %16s  %5.1f%%\n", "Bytes of these",
              ms_number_grouped (number, file->active_bytes),
              share (file->active_bytes, file->tensor_bytes));
    }
  print_roles (file);
  print_blocks (file);
  print_facts (file, MS_FACTS_GEOMETRY);
  if (file->n_moe > 0)
    print_facts (file, MS_FACTS_ROUTING);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void
add_value (JsonBuilder *json, GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    ms_json_add_int (json, "value", g_variant_get_int64 (value));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    ms_json_add_real (json, "value", g_variant_get_double (value));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    ms_json_add_bool (json, "value", g_variant_get_boolean (value));
  else
    ms_json_add_text (json, "value", g_variant_get_string (value, NULL));
}

static void
add_facts (JsonBuilder *json, const MsInspection *file, MsFactSection section)
{
  ms_json_begin_object (json, sections[section]);
  for (guint i = 0; i < file->facts->len; i++)
    {
      const MsFact *fact = &g_array_index (file->facts, MsFact, i);

      if (fact->section != section)
        continue;
      ms_json_begin_object (json, fact->name);
      add_value (json, fact->value);
      ms_json_add_text (json, "source", fact->source);
      json_builder_end_object (json);
    }
  json_builder_end_object (json);
}

static void
add_types (JsonBuilder *json, const GArray *types)
{
  ms_json_begin_array (json, "types");
  for (guint i = 0; i < types->len; i++)
    {
      const MsTypeShare *one = &g_array_index (types, MsTypeShare, i);

      json_builder_begin_object (json);
      ms_json_add_text (json, "type", one->name);
      ms_json_add_int (json, "tensors", one->n_tensors);
      ms_json_add_int (json, "bytes", one->bytes);
      ms_json_add_int (json, "values", one->n_values);
      ms_json_add_bool (json, "readable", one->readable || one->whole);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

static void
add_roles (JsonBuilder *json, const MsInspection *file)
{
  ms_json_begin_array (json, "roles");
  for (MsTensorRole role = 0; role < MS_N_ROLES; role++)
    {
      MsTypeShare all;

      if (file->roles[role]->len == 0)
        continue;
      sum (file->roles[role], &all);
      json_builder_begin_object (json);
      ms_json_add_text (json, "role", ms_role_name (role));
      ms_json_add_int (json, "tensors", all.n_tensors);
      ms_json_add_int (json, "bytes", all.bytes);
      ms_json_add_int (json, "values", all.n_values);
      add_types (json, file->roles[role]);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

static void
add_blocks (JsonBuilder *json, const MsInspection *file)
{
  ms_json_begin_array (json, "blocks");
  for (guint b = 0; b < file->n_blocks; b++)
    {
      const MsBlockFacts *block = &file->blocks[b];

      json_builder_begin_object (json);
      ms_json_add_int (json, "block", b);
      ms_json_add_text (json, "mixer", block->mixer);
      ms_json_add_int (json, "bytes", block->bytes);
      ms_json_add_int (json, "experts", block->experts);
      ms_json_add_int (json, "experts_per_token", block->k);
      ms_json_add_int (json, "experts_bytes", block->expert_bytes);
      ms_json_add_int (json, "bytes_per_expert",
                       block->experts > 0 ? block->expert_bytes / block->experts : 0);
      ms_json_add_bool (json, "shared_experts", block->shared);
      ms_json_add_text (json, "router_type", block->router_type);
      ms_json_add_bool (json, "router_bias", block->router_bias);
      ms_json_add_bool (json, "selection_bias", block->selection_bias);
      ms_json_add_bool (json, "hash_routed", block->hashed);
      ms_json_add_bool (json, "further_tokens", block->further);
      json_builder_end_object (json);
    }
  json_builder_end_array (json);
}

void
ms_info_add_inspection (JsonBuilder *json, const MsInspection *file)
{
  ms_json_begin_object (json, "inspection");
  ms_json_add_text (json, "name", file->name);
  ms_json_add_text (json, "architecture", file->architecture);
  ms_json_add_bool (json, "can_be_run", file->obstacles->len == 0);
  ms_json_add_texts (json, "obstacles", file->obstacles);
  ms_json_add_int (json, "files", file->n_parts);
  ms_json_add_int (json, "tensors", file->n_tensors);
  ms_json_add_int (json, "tensor_bytes", file->tensor_bytes);
  ms_json_add_int (json, "parameters", file->n_values);
  ms_json_add_int (json, "active_parameters", file->active_values);
  ms_json_add_int (json, "active_bytes", file->active_bytes);
  ms_json_add_int (json, "moe_layers", file->n_moe);
  add_types (json, file->types);
  add_roles (json, file);
  add_blocks (json, file);
  add_facts (json, file, MS_FACTS_GEOMETRY);
  add_facts (json, file, MS_FACTS_ROUTING);
  json_builder_end_object (json);
}
