/* The matrix libraries, loaded when the first product is asked for: a command that multiplies nothing pays
 * neither for their start nor for their threads, and runs where they are not installed. */
#pragma once

#include <glib.h>

#ifdef MS_HAVE_OPENBLAS
#include <cblas-openblas.h>
#endif
#ifdef MS_HAVE_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

G_BEGIN_DECLS

#define MS_LIBRARY_MEMBER(symbol, name) __typeof__ (symbol) *name;

#ifdef MS_HAVE_OPENBLAS
#define MS_OPENBLAS_SYMBOLS(F)                                                                     \
  F (cblas_sgemm, sgemm)                                                                           \
  F (openblas_set_num_threads, set_num_threads)

typedef struct
{
  MS_OPENBLAS_SYMBOLS (MS_LIBRARY_MEMBER)
} MsOpenblas;

/* NULL when the library cannot be loaded. */
const MsOpenblas *ms_library_openblas (void);
#endif

#ifdef MS_HAVE_ONEDNN
#define MS_ONEDNN_SYMBOLS(F)                                                                       \
  F (dnnl_engine_create, engine_create)                                                            \
  F (dnnl_get_effective_cpu_isa, get_effective_cpu_isa)                                            \
  F (dnnl_matmul_desc_init, matmul_desc_init)                                                      \
  F (dnnl_memory_create, memory_create)                                                            \
  F (dnnl_memory_desc_get_size, memory_desc_get_size)                                              \
  F (dnnl_memory_desc_init_by_strides, memory_desc_init_by_strides)                                \
  F (dnnl_memory_destroy, memory_destroy)                                                          \
  F (dnnl_primitive_attr_create, primitive_attr_create)                                            \
  F (dnnl_primitive_attr_destroy, primitive_attr_destroy)                                          \
  F (dnnl_primitive_attr_set_scratchpad_mode, primitive_attr_set_scratchpad_mode)                  \
  F (dnnl_primitive_create, primitive_create)                                                      \
  F (dnnl_primitive_desc_create, primitive_desc_create)                                            \
  F (dnnl_primitive_desc_destroy, primitive_desc_destroy)                                          \
  F (dnnl_primitive_desc_query_md, primitive_desc_query_md)                                        \
  F (dnnl_primitive_execute, primitive_execute)                                                    \
  F (dnnl_sgemm, sgemm)                                                                            \
  F (dnnl_stream_create, stream_create)                                                            \
  F (omp_set_num_threads, omp_set_num_threads)

typedef struct
{
  MS_ONEDNN_SYMBOLS (MS_LIBRARY_MEMBER)
} MsOnednn;

/* NULL when the library cannot be loaded. */
const MsOnednn *ms_library_onednn (void);
#endif

G_END_DECLS
