/*
 * transform/order.h: in which order the targets are written, by their foreign keys.
 */
#ifndef PGCROSSFADE_TRANSFORM_ORDER_H
#define PGCROSSFADE_TRANSFORM_ORDER_H

#include "transform/check.h"

/*
 * Parents get lower ranks than children: fills in every flow's rank, and the plan's
 * max_rank. Tables that refer to each other in a circle count for nothing to each other.
 */
bool order_flows(struct check *c, struct flow *flows, unsigned nflows, struct plan *plan,
		 struct err *e);

#endif
