#include "base.h"

#include <math.h>
#include <string.h>

guint16
ms_half_from_float (float value)
{
  guint32 bits, sign, mantissa;
  int exponent;

  memcpy (&bits, &value, sizeof bits);
  sign = (bits >> 16) & 0x8000u;
  exponent = (int) ((bits >> 23) & 0xffu) - 127 + 15;
  mantissa = bits & 0x7fffffu;

  if (((bits >> 23) & 0xffu) == 0xffu) /* infinity, or a NaN that stays one */
    return (guint16) (sign | 0x7c00u | (mantissa ? 0x200u : 0));
  if (exponent >= 31)
    return (guint16) (sign | 0x7c00u);
  if (exponent <= 0)
    {
      guint shift = (guint) (14 - exponent);
      guint32 half, rest, middle;

      if (exponent < -10)
        return (guint16) sign;
      mantissa |= 0x800000u;
      half = mantissa >> shift;
      rest = mantissa & ((1u << shift) - 1);
      middle = 1u << (shift - 1);
      if (rest > middle || (rest == middle && (half & 1)))
        half++;
      return (guint16) (sign | half);
    }
  else
    {
      guint32 half = ((guint32) exponent << 10) | (mantissa >> 13);
      guint32 rest = mantissa & 0x1fffu;

      if (rest > 0x1000u || (rest == 0x1000u && (half & 1)))
        half++; /* may carry into the exponent, up to infinity: that is right */
      return (guint16) (sign | half);
    }
}

float
ms_half_to_float (guint16 half)
{
  guint32 sign = (guint32) (half & 0x8000u) << 16;
  guint32 exponent = (half >> 10) & 0x1fu;
  guint32 mantissa = half & 0x3ffu;
  guint32 bits;
  float value;

  if (exponent == 0)
    {
      value = (float) mantissa * 0x1p-24f;
      return sign ? -value : value;
    }
  if (exponent == 31)
    bits = sign | 0x7f800000u | (mantissa << 13);
  else
    bits = sign | ((exponent + 127 - 15) << 23) | (mantissa << 13);
  memcpy (&value, &bits, sizeof value);
  return value;
}

guint64
ms_random_next (guint64 *state)
{
  guint64 z = (*state += 0x9e3779b97f4a7c15u);

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double
ms_random_double (guint64 *state)
{
  return (double) (ms_random_next (state) >> 11) * 0x1p-53;
}

guint64
ms_random_below (guint64 *state, guint64 n)
{
  guint64 limit = G_MAXUINT64 - G_MAXUINT64 % n;
  guint64 value;

  do
    value = ms_random_next (state);
  while (value >= limit);
  return value % n;
}

char *
ms_number_short (char buffer[MS_NUMBER_SIZE], double value)
{
  if (isnan (value))
    buffer[0] = '\0';
  else if (isinf (value))
    g_strlcpy (buffer, value < 0 ? "-inf" : "inf", MS_NUMBER_SIZE);
  else
    g_ascii_formatd (buffer, MS_NUMBER_SIZE, "%.6g", value);
  return buffer;
}

char *
ms_number_exact (char buffer[MS_NUMBER_SIZE], double value)
{
  if (!isfinite (value))
    return ms_number_short (buffer, value);
  for (int digits = 9; digits <= 17; digits += (digits == 9 ? 6 : 1))
    {
      char format[8];

      g_snprintf (format, sizeof format, "%%.%dg", digits);
      g_ascii_formatd (buffer, MS_NUMBER_SIZE, format, value);
      if (g_ascii_strtod (buffer, NULL) == value)
        break;
    }
  return buffer;
}

char *
ms_number_grouped (char buffer[MS_NUMBER_SIZE], gint64 value)
{
  char digits[MS_NUMBER_SIZE];
  guint length, at = 0;

  g_snprintf (digits, sizeof digits, "%" G_GINT64_FORMAT, value);
  length = (guint) strlen (digits);
  for (guint i = 0; i < length; i++)
    {
      guint left = length - i;

      if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
        buffer[at++] = ',';
      buffer[at++] = digits[i];
    }
  buffer[at] = '\0';
  return buffer;
}
