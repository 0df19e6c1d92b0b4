/*
 * core/clock.h: time that only goes forward, in milliseconds.
 */
#ifndef PGCROSSFADE_CORE_CLOCK_H
#define PGCROSSFADE_CORE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* monotonic, arbitrary start */
int64_t clock_us(void);      /* the same in microseconds */
void clock_sleep_ms(int ms); /* a signal may end it early */

#endif
