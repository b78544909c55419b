#include "bkd/base/turns.h"

void turns_init(struct turns *t)
{
    *t = (struct turns){ 0 };
    (void)pthread_mutex_init(&t->lock, NULL); // cannot fail for the default kind
    (void)pthread_cond_init(&t->changed, NULL);
}

void turns_wait(struct turns *t, uint64_t number)
{
    (void)pthread_mutex_lock(&t->lock);
    while (t->next != number)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

void turns_pass(struct turns *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->next++;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

void turns_done(struct turns *t)
{
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
}
