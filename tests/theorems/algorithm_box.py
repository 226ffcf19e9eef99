"""The paper's algorithm for a CT-RNN with RFLO and a categorical policy, in NumPy alone."""

import numpy as np


class AlgorithmBox:
    """RTRRL §1 line by line, ascending with plain step sizes.

    `theta` has W, tau, W_A and W_C; `B_A` and `B_C` are the feedback matrices; `s` the settings.
    The caller passes the action that was taken to `acted`.
    """

    def __init__(self, theta, B_A, B_C, s):
        self.theta = {name: np.array(value) for name, value in theta.items()}
        self.B_A, self.B_C, self.s = np.array(B_A), np.array(B_C), s
        self.average_reward = 0.0

    def begin(self, o):
        W, tau = self.theta["W"], self.theta["tau"]
        self.h, self.J = np.zeros_like(tau), {"W": np.zeros_like(W), "tau": np.zeros_like(tau)}
        self.rnn([*o, 0.0, 0.0, 0.0] if self.s["meta_input"] else o)
        self.v = self.value()
        self.e = {name: np.zeros_like(value) for name, value in self.theta.items()}
        self.attenuation = 1.0

    def acted(self, a):
        self.a = int(a)

    def step(self, o, r, discount):
        s, theta, gamma = self.s, self.theta, self.s["gamma"]
        pi = softmax(theta["W_A"] @ [*self.h, 1.0])
        score = np.eye(2)[self.a] - pi
        entropy_gradient = -pi * (np.log(pi) - pi @ np.log(pi))
        if s["attenuate"]:
            score = self.attenuation * score
        features = np.array([*self.h, 1.0])
        g = self.B_C.T @ [1.0] + s["eta_A"] * self.B_A.T @ score
        gradient = {
            "W_C": features[None],
            "W_A": np.outer(score, features),
            **self.through_influence(g),
        }
        decay = {"W_C": s["lambda_C"], "W_A": s["lambda_A"]}
        for name in self.e:
            self.e[name] = gamma * decay.get(name, s["lambda_R"]) * self.e[name] + gradient[name]
        bonus = {
            "W_C": 0.0,
            "W_A": np.outer(entropy_gradient, features),
            **self.through_influence(self.B_A.T @ entropy_gradient),
        }

        action = np.eye(2)[self.a]
        self.rnn([*o, *action, r] if s["meta_input"] else o)
        v_next = self.value()
        delta = r - self.average_reward + gamma * discount * v_next - self.v
        rate = {"W_C": s["alpha_C"], "W_A": s["alpha_A"]}
        for name in theta:
            ascent = delta * self.e[name] + s["eta_H"] * bonus[name]
            theta[name] = theta[name] + rate.get(name, s["alpha_R"]) * ascent
        theta["tau"] = np.maximum(theta["tau"], 1.0)
        self.average_reward += s["average_reward_rate"] * delta
        self.attenuation *= gamma
        self.v = v_next
        return delta

    def rnn(self, x):
        W, tau, dt = self.theta["W"], self.theta["tau"], self.s["dt"]
        for _ in range(round(1 / dt)):
            xi = np.array([*x, *self.h, 1.0])
            phi = np.tanh(W @ xi)
            leak = 1 - dt / tau
            self.J = {
                "W": leak[:, None] * self.J["W"] + (dt / tau * (1 - phi**2))[:, None] * xi,
                "tau": leak * self.J["tau"] + dt / tau**2 * (self.h - phi),
            }
            self.h = self.h + dt / tau * (phi - self.h)

    def value(self):
        return float((self.theta["W_C"] @ [*self.h, 1.0])[0])

    def through_influence(self, h_bar):
        return {"W": h_bar[:, None] * self.J["W"], "tau": h_bar * self.J["tau"]}


def softmax(y):
    exponent = np.exp(y - y.max())
    return exponent / exponent.sum()
