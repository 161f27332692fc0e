/* Numbers: half precision, random numbers, decimals.
 *
 * Everything here gives the same bits on every machine and in every locale, since files, seeds and tests rest on
 * it.  A decimal for exchange is the shortest that reads back as the same number: more digits are tried until it
 * does. */
#include "base.h"

#include <math.h>
#include <stdlib.h>
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

/* Whole numbers up to 2^53 are written out: no exponents for counts. */
static gboolean
format_whole (char buffer[MS_NUMBER_SIZE], double value)
{
  if (value != floor (value) || fabs (value) > 0x1p53)
    return FALSE;
  g_ascii_formatd (buffer, MS_NUMBER_SIZE, "%.0f", value + 0.0);
  return TRUE;
}

char *
ms_number_short (char buffer[MS_NUMBER_SIZE], double value)
{
  if (isnan (value))
    buffer[0] = '\0';
  else if (isinf (value))
    g_strlcpy (buffer, value < 0 ? "-inf" : "inf", MS_NUMBER_SIZE);
  else if (!format_whole (buffer, value))
    g_ascii_formatd (buffer, MS_NUMBER_SIZE, "%.6g", value);
  return buffer;
}

char *
ms_number_exact (char buffer[MS_NUMBER_SIZE], double value)
{
  if (!isfinite (value))
    return ms_number_short (buffer, value);
  if (format_whole (buffer, value))
    return buffer;
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

/* Digits of value = digits / 10^places for 1e-4 <= value < 10, in whole numbers: some twenty times as fast
 * as printing and reading back, which an export of many millions of weights feels. */
static guint64
shortest_digits (double value, int *places)
{
  static const double powers[]
      = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12 };
  int leading = value >= 1 ? 0 : value >= 0.1 ? 1 : value >= 0.01 ? 2 : value >= 0.001 ? 3 : 4;
  guint64 digits = 0;

  for (int n = 6; n <= 9; n++)
    {
      double near, power;
      guint64 bits;

      *places = n - 1 + leading;
      power = powers[*places];
      digits = (guint64) (value * power + 0.5);
      near = (double) digits / power;
      memcpy (&bits, &near, sizeof bits);
      /* Next to the middle between two floats the quotient's own rounding would decide: go on. */
      bits = (bits & 0x1fffffff) - 0x0fffffff;
      if ((double) (float) near == value && bits > 2)
        break;
    }
  while (*places > 0 && digits % 10 == 0)
    {
      digits /= 10;
      --*places;
    }
  return digits;
}

char *
ms_number_float (char buffer[MS_NUMBER_SIZE], float value)
{
  double positive = fabs ((double) value);
  guint64 digits;
  int places, at = 0, end;

  if (!isfinite (value))
    return ms_number_short (buffer, (double) value);
  if (positive < 1e-4 || positive >= 10)
    {
      for (int n = 6; n <= 9; n++)
        {
          char format[8];

          g_snprintf (format, sizeof format, "%%.%dg", n);
          g_ascii_formatd (buffer, MS_NUMBER_SIZE, format, (double) value);
          if (strtof (buffer, NULL) == value)
            break;
        }
      return buffer;
    }
  digits = shortest_digits (positive, &places);
  if (value < 0)
    buffer[at++] = '-';
  end = at + places + (places > 0 ? 2 : 1);
  buffer[end] = '\0';
  for (int i = end - 1; i >= at; i--)
    {
      if (places > 0 && i == at + 1)
        buffer[i] = '.';
      else
        {
          buffer[i] = (char) ('0' + digits % 10);
          digits /= 10;
        }
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
