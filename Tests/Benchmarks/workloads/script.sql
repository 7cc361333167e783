CREATE TABLE event(id INTEGER PRIMARY KEY, user TEXT, amount REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)
INSERT INTO event SELECT i, 'user-' || (i * 7919 % 5000), i * 0.25 FROM n;
CREATE INDEX by_user ON event(user);
SELECT count(*), sum(s) FROM (SELECT user, sum(amount) s FROM event GROUP BY user);
SELECT count(*) FROM event WHERE user LIKE '%77%';
