/*
 * service/outlook_steps.h: the steps of an outlook, out of its figures.
 */
#ifndef PGCROSSFADE_SERVICE_OUTLOOK_STEPS_H
#define PGCROSSFADE_SERVICE_OUTLOOK_STEPS_H

#include "service/outlook.h"

/* Fills in steps and nsteps. */
void outlook_steps(struct session *s, struct outlook *o);

#endif
