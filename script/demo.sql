-- The new schema, as its designer deploys it; pgcrossfade creates no tables of yours.
CREATE SCHEMA bank;

CREATE TABLE bank.branch (
    branch_id int PRIMARY KEY,
    name text NOT NULL,
    total bigint NOT NULL
);

CREATE TABLE bank.teller (
    teller_id int PRIMARY KEY,
    branch_id int NOT NULL,
    total bigint NOT NULL
);

CREATE TABLE bank.account (
    account_id bigint PRIMARY KEY,
    branch_id int NOT NULL,
    status text NOT NULL CHECK (status IN ('overdrawn', 'untouched', 'funded'))
);

CREATE TABLE bank.balance (
    account_id bigint PRIMARY KEY,
    amount bigint NOT NULL
);

CREATE TABLE bank.entry (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    teller_id int NOT NULL,
    branch_id int NOT NULL,
    amount bigint NOT NULL,
    booked_at timestamptz NOT NULL
);
