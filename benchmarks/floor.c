/* The floor: one learning step of a CT-RNN with RFLO, TD(lambda) and Adam, in three passes.

   The arithmetic is that of RTRRL.paper on discrete actions and nothing else: no framework, no
   environment, no random numbers. Observations, rewards, discounts and actions are read from a
   recording. Sizes and settings are compiled in, as they are in JAX:

     HIDDEN OBSERVATIONS ACTIONS                         sizes
     GAMMA DECAY_ACTOR DECAY_CRITIC DECAY_CELL           discount, and discount times trace decay
     ACTOR_COEFFICIENT ENTROPY_COEFFICIENT               weights of actor and entropy gradients
     RATE_ACTOR RATE_CRITIC RATE_CELL CLIP B1 B2 EPSILON Adam after clipping the global norm   */

#include <math.h>
#include <string.h>

#define INPUTS (OBSERVATIONS + ACTIONS + 1)
#define XI (INPUTS + HIDDEN + 1)
#define WEIGHTS (HIDDEN * XI)
#define CELL (WEIGHTS + HIDDEN)
#define FEATURES (HIDDEN + 1)
#define ACTOR (ACTIONS * FEATURES)
#define PARAMETERS (CELL + ACTOR + FEATURES)

/* Blocks of a parameter-sized array: weight, tau, actor, critic. */
#define TAU(a) ((a) + WEIGHTS)
#define PI(a) ((a) + CELL)
#define V(a) ((a) + CELL + ACTOR)

typedef struct {
    float theta[PARAMETERS], trace[PARAMETERS], mu[PARAMETERS], nu[PARAMETERS];
    float influence[CELL];
    float feedback_actor[ACTIONS * HIDDEN], feedback_critic[HIDDEN];
    float h[HIDDEN], y[ACTIONS], value;
    float b1_power, b2_power; /* B1^t and B2^t */
    float squared_td_error, entropy;
} Agent;

/* Gradients with respect to y: of log pi(action), and of ENTROPY_COEFFICIENT times the entropy. */
static float policy_gradients(const float *y, int action, float *score, float *entropy_gradient) {
    float top = y[0], sum = 0, entropy = 0, log_p[ACTIONS], p[ACTIONS];
    for (int a = 1; a < ACTIONS; a++) top = fmaxf(top, y[a]);
    for (int a = 0; a < ACTIONS; a++) sum += expf(y[a] - top);
    for (int a = 0; a < ACTIONS; a++) {
        log_p[a] = y[a] - top - logf(sum);
        p[a] = expf(log_p[a]);
        entropy -= p[a] * log_p[a];
    }
    for (int a = 0; a < ACTIONS; a++) {
        score[a] = (a == action) - p[a];
        entropy_gradient[a] = -ENTROPY_COEFFICIENT * p[a] * (log_p[a] + entropy);
    }
    return entropy;
}

static float readout(const float *weight, const float *h) {
    float y = weight[HIDDEN];
    for (int i = 0; i < HIDDEN; i++) y += weight[i] * h[i];
    return y;
}

/* Traces, and the ascent direction delta e + bonus; returns its squared norm. */
static float accumulate(float *trace, const float *features, int size, float decay, float gradient,
                        float bonus, float delta, float *ascent) {
    float squares = 0;
    for (int j = 0; j < size; j++) {
        trace[j] = decay * trace[j] + gradient * features[j];
        ascent[j] = delta * trace[j] + bonus * features[j];
        squares += ascent[j] * ascent[j];
    }
    return squares;
}

static void adam(Agent *s, const float *ascent, int from, int to, float rate, float scale) {
    float fix_mu = rate / (1 - s->b1_power), fix_nu = 1 / (1 - s->b2_power);
    for (int k = from; k < to; k++) {
        float u = scale * ascent[k];
        s->mu[k] = B1 * s->mu[k] + (1 - B1) * u;
        s->nu[k] = B2 * s->nu[k] + (1 - B2) * u * u;
        s->theta[k] += fix_mu * s->mu[k] / (sqrtf(fix_nu * s->nu[k]) + EPSILON);
    }
}

static void step(Agent *s, const float *observation, int action, float reward, float discount) {
    float score[ACTIONS], entropy_gradient[ACTIONS], xi[XI] = {0}, f[FEATURES], drive[HIDDEN];
    static float ascent[PARAMETERS]; /* too large for the stack */
    float squares = 0;
    s->entropy += policy_gradients(s->y, action, score, entropy_gradient);

    memcpy(f, s->h, sizeof s->h);
    f[HIDDEN] = 1;
    memcpy(xi, observation, OBSERVATIONS * sizeof *xi);
    xi[OBSERVATIONS + action] = 1;
    xi[INPUTS - 1] = reward;
    memcpy(xi + INPUTS, f, sizeof f);

    /* first pass: h', its value and the TD error */
    for (int i = 0; i < HIDDEN; i++) {
        drive[i] = 0;
        for (int j = 0; j < XI; j++) drive[i] += s->theta[i * XI + j] * xi[j];
    }
    for (int i = 0; i < HIDDEN; i++) drive[i] = tanhf(drive[i]);
    for (int i = 0; i < HIDDEN; i++) s->h[i] += (drive[i] - s->h[i]) / TAU(s->theta)[i];
    float value = readout(V(s->theta), s->h);
    float delta = reward + GAMMA * discount * value - s->value;

    /* second pass: traces, influence, ascent direction and its norm */
    for (int i = 0; i < HIDDEN; i++) {
        float gradient = s->feedback_critic[i], bonus = 0, rate = 1 / TAU(s->theta)[i];
        for (int a = 0; a < ACTIONS; a++) {
            gradient += ACTOR_COEFFICIENT * score[a] * s->feedback_actor[a * HIDDEN + i];
            bonus += entropy_gradient[a] * s->feedback_actor[a * HIDDEN + i];
        }
        float *P = s->influence + i * XI, slope = rate * (1 - drive[i] * drive[i]);
        squares += accumulate(s->trace + i * XI, P, XI, DECAY_CELL, gradient, bonus, delta,
                              ascent + i * XI);
        for (int j = 0; j < XI; j++) P[j] = (1 - rate) * P[j] + slope * xi[j];
        squares += accumulate(TAU(s->trace) + i, TAU(s->influence) + i, 1, DECAY_CELL, gradient,
                              bonus, delta, TAU(ascent) + i);
        TAU(s->influence)[i] =
            (1 - rate) * TAU(s->influence)[i] - rate * rate * (drive[i] - f[i]);
    }
    for (int a = 0; a < ACTIONS; a++)
        squares += accumulate(PI(s->trace) + a * FEATURES, f, FEATURES, DECAY_ACTOR, score[a],
                              entropy_gradient[a], delta, PI(ascent) + a * FEATURES);
    squares += accumulate(V(s->trace), f, FEATURES, DECAY_CRITIC, 1, 0, delta, V(ascent));

    /* third pass: clip, Adam, tau >= 1 */
    float scale = CLIP / fmaxf(CLIP, sqrtf(squares));
    s->b1_power = fmaxf(B1 * s->b1_power, 1e-30f); /* denormals are slow */
    s->b2_power = fmaxf(B2 * s->b2_power, 1e-30f);
    adam(s, ascent, 0, CELL, RATE_CELL, scale);
    adam(s, ascent, CELL, CELL + ACTOR, RATE_ACTOR, scale);
    adam(s, ascent, CELL + ACTOR, PARAMETERS, RATE_CRITIC, scale);
    for (int i = 0; i < HIDDEN; i++) TAU(s->theta)[i] = fmaxf(TAU(s->theta)[i], 1);

    for (int a = 0; a < ACTIONS; a++) s->y[a] = readout(PI(s->theta) + a * FEATURES, s->h);
    s->value = value;
    s->squared_td_error += delta * delta;
}

void learn(Agent *s, long steps, long period, const float *observations, const int *actions,
           const float *rewards, const float *discounts) {
    for (long t = 0, k = 0; t < steps; t++, k = k + 1 < period ? k + 1 : 0)
        step(s, observations + k * OBSERVATIONS, actions[k], rewards[k], discounts[k]);
}
