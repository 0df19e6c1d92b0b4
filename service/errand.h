/*
 * service/errand.h: what the run asks and tells beside the stream, done on a thread and two
 * connections of its own, so that no change waits for an answer.
 *
 *   the run   errands_send -> goes on with the stream ... errands_back: out ... done
 *   thread                 '-> asks the source, writes to the ledger ------'
 *
 * One errand at a time.
 *
 * Ownership  the arg of an errand is the thread's from errands_send until errands_back says that
 *            it is done, or errands_close returns. What else an errand reads of the session
 *            must not change meanwhile; the stream changes the partitions of the plan's tables
 *            and nothing else.
 * Errors     of the errand or of its connections. The errands are over then.
 * Threads    its own; the functions here are for one caller.
 */
#ifndef PGCROSSFADE_SERVICE_ERRAND_H
#define PGCROSSFADE_SERVICE_ERRAND_H

#include "service/session.h"

struct errands;

/* own: the session as it was when the errand was sent, with connections of the thread's. */
typedef bool errand(struct session *own, void *arg, struct err *e);

bool errands_open(const struct session *s, struct errands **out, struct err *e);

/* Cancels what is under way. NULL is fine. */
void errands_close(struct errands *x);

/* Not while one is out. */
void errands_send(struct errands *x, const struct session *s, errand *what, void *arg);

enum errand_state { ERRAND_OUT, ERRAND_DONE, ERRAND_FAILED };

/* Of the one that was sent. Does not wait. */
enum errand_state errands_back(struct errands *x, struct err *e);

#endif
